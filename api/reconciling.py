"""The function specs of processes that reconcile a blueprint, or clean up behind one.

And the cron that has those of a kind and a place reconciled again and again.
"""

from msgspec import UNSET, Raw, Struct, field

from api import wire, wire_spec
from api.context import Context
from api.specs import SubmittedSpec, check_free_form, command_of
from api.workflowspec import template_in
from broker import keys
from broker.aggregates import cron as crons
from broker.aggregates.blueprint import cron_name
from broker.aggregates.cron import AddCron
from broker.aggregates.definition import DefinitionRow
from broker.aggregates.process_submit import SubmitProcess
from broker.directory import Colony

CLEANUP = "cleanup"
"""The function that cleans up, whatever the definition."""


_EVERY_S = 60


class About(Struct, frozen=True):
    """The blueprint that a process is about."""

    name: str
    kind: str
    location: str


class _Kwargs(Struct, kw_only=True, omit_defaults=True):
    name: str = field(name="blueprintName")
    kind: str
    force: bool = False


def reconcile(
    colony: Colony, definition: DefinitionRow | None, about: About, *, force: bool = False
) -> SubmitProcess | None:
    """The process that reconciles a blueprint; None when its definition names nobody for it."""
    if definition is None or not definition.executor_type or not definition.function:
        return None
    return _command(colony, definition.executor_type, definition.function, about, force=force)


def clean_up(
    colony: Colony, definition: DefinitionRow | None, about: About
) -> SubmitProcess | None:
    """The process that cleans up behind a blueprint; None when there is nobody for it."""
    if definition is None or not definition.executor_type:
        return None
    return _command(colony, definition.executor_type, CLEANUP, about)


def _command(
    colony: Colony, executor_type: str, function: str, about: About, *, force: bool = False
) -> SubmitProcess:
    conditions = wire_spec.Conditions(
        colonyname=colony.name,
        executortype=executor_type,
        locationname=about.location or UNSET,
    )
    kwargs = _Kwargs(name=about.name, kind=about.kind, force=force)
    spec = SubmittedSpec(
        nodename=f"{executor_type}-{function}",
        funcname=function,
        kwargs=Raw(wire.encode(kwargs)),
        maxexectime=-1,
        maxretries=-1,
        conditions=Raw(wire.encode(conditions)),
    )
    check_free_form(spec)
    return command_of(spec, keys.new_id(colony.suffix))


def cron(
    ctx: Context, colony: Colony, definition: DefinitionRow | None, about: About
) -> AddCron | None:
    """The cron for all blueprints of a kind at a place; None when nobody reconciles them."""
    if definition is None or not definition.executor_type or not definition.function:
        return None
    text = _workflow(colony, definition, about)
    return AddCron(
        cron_id=keys.new_id(colony.suffix),
        name=cron_name(about.kind, about.location),
        expression="",
        interval=_EVERY_S,
        random=False,
        waits=True,
        missed=crons.SKIP,
        workflow=text,
        template=template_in(ctx, text, colony)[0],
        chance=_EVERY_S,
    )


def _workflow(colony: Colony, definition: DefinitionRow, about: About) -> str:
    """The workflow as the reference spells it."""
    spec = wire_spec.FunctionSpec(
        nodename=f"{definition.executor_type}-{definition.function}",
        funcname=definition.function,
        kwargs=Raw(wire.encode({"kind": about.kind})),
        maxexectime=-1,
        maxretries=-1,
        conditions=wire_spec.Conditions(
            colonyname=colony.name,
            executortype=definition.executor_type,
            locationname=about.location or UNSET,
            gpu=wire_spec.Gpu(),
        ),
        fs=wire_spec.Filesystem(),
        env={},
    )
    return wire.encode({"colonyname": colony.name, "functionspecs": [spec]}).decode()
