"""The text of a workflow that crons and generators are given, read and checked when it is."""

from api import wire
from api.context import Context
from api.specs import nodes_of
from api.wire_workflow import WorkflowSpec
from broker.aggregates import planning
from broker.aggregates.template import template_of
from broker.directory import Colony
from broker.errors import Invalid, Malformed


def template_in(ctx: Context, text: str, colony: Colony) -> tuple[bytes, int]:
    """The template of a workflow spec, which is JSON text, and how many roots it has.

    Raises:
        Malformed, Invalid: no workflow, an unsound one, or one for another colony.
    """
    try:
        spec = wire.decode(text.encode(), WorkflowSpec)
    except Malformed as error:
        raise Malformed(f"workflowspec: invalid JSON: {error}") from error
    if spec.colonyname not in {"", colony.name}:
        raise Invalid(
            f"workflowspec is for colony <{spec.colonyname}>, it must be for <{colony.name}>"
        )
    nodes = nodes_of(spec.functionspecs or [], colony.name, colony.suffix)
    planning.check(nodes, ctx.settings.limits.max_workflow_nodes)
    return template_of(nodes), sum(not node.depends for node in nodes)
