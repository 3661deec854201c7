"""Blueprints: each generation is told to somebody, once."""

from typing import Any

import pytest
from msgspec.structs import replace

from broker import keys
from broker.access import MemberState
from broker.aggregates import blueprint, process_submit
from broker.aggregates.blueprint import (
    MOST_GENERATION,
    BlueprintForced,
    BlueprintRemoved,
    BlueprintRow,
    BlueprintStatusChanged,
    BlueprintUpdated,
    PutBlueprint,
    Site,
    cron_name,
)
from broker.aggregates.cron import AddCron, CronAdded, CronRemoved
from broker.aggregates.definition import (
    MOST_BYTES,
    BlueprintDefinitionRemoved,
    DefinitionRow,
)
from broker.aggregates.location import LocationAdded
from broker.aggregates.process import ProcessSubmitted
from broker.aggregates.process_submit import SubmitProcess
from broker.aggregates.user import UserRemoved
from broker.clock import SECOND_NS
from broker.decision import Decision, Event
from broker.errors import Clash, Denied, Invalid, NotFound
from tests.blueprints import (
    DEFINITION,
    DEFINITION_ID,
    KIND,
    LAMP,
    LAMP_ID,
    defined,
    document,
    lit,
)
from tests.facts import (
    CLI,
    COLONY,
    EXECUTOR,
    LATER,
    OWNER,
    PROCESS,
    STRANGER,
    USER,
    class_added,
    executor_added,
    inhabited,
)
from tests.scenario import Decide, World, given

WORK = SubmitProcess(
    process_id=PROCESS,
    spec=b"{}",
    requires=CLI.pack(),
    function="reconcile",
    label="",
    priority=0,
    max_wait_s=0,
    max_exec_s=-1,
    max_retries=-1,
    env={},
)
PUT = PutBlueprint(
    blueprint_id=LAMP_ID,
    name=LAMP,
    kind=KIND,
    location="",
    location_id="1",
    generation=0,
    metadata=b'{"name":"lamp","colonyname":"dev"}',
    spec=b'{"power":true}',
    status=b"",
    history_id="h0",
)
CRON_ID = "c" * 64
OFF = b'{"power": false}'
HERE = (*inhabited(), defined(), class_added())
NOT_OWNER = "Access denied, not colony owner"
NOT_MEMBER = f"Access denied, not a member of Colony with name <{COLONY}>"
LEFT = UserRemoved(subject=USER, actor=OWNER, at_ns=LATER, name="alice")
UNDEFINED = BlueprintDefinitionRemoved(
    subject=DEFINITION, actor=OWNER, at_ns=LATER, definition_id=DEFINITION_ID, kind=KIND
)
GONE = BlueprintRemoved(subject=LAMP_ID, actor=USER, at_ns=LATER, name=LAMP, kind=KIND, location="")
HOME = LocationAdded(
    subject="home",
    actor=USER,
    at_ns=LATER,
    location_id="1",
    description="Auto-created from blueprint lamp",
    long=0.0,
    lat=0.0,
)


def work(by: str = USER, name: str = "alice") -> ProcessSubmitted:
    return process_submit.submitted(WORK, by, name, LATER)


def added(**fields: Any) -> Event:  # noqa: ANN401
    return lit(at_ns=LATER, **fields)


def updated(**fields: Any) -> BlueprintUpdated:  # noqa: ANN401
    given_: dict[str, Any] = {
        "subject": LAMP_ID,
        "actor": USER,
        "at_ns": LATER,
        "name": LAMP,
        "was_kind": KIND,
        "was_location": "",
        "kind": KIND,
        "location": "",
        "generation": 1,
        "metadata": PUT.metadata,
        "spec": OFF,
        "status": b"",
        "history_id": "h1",
    }
    return BlueprintUpdated(**given_ | fields)


def named(world: World, name: str) -> str | None:
    found = world.hash(keys.CRON_NAMES).get(name.encode())
    return found.decode() if found else None


def site(world: World, command: PutBlueprint = PUT, *, with_cron: bool = False) -> Site:
    same_id = world.hash(keys.BLUEPRINT_IDS).get(command.blueprint_id.encode())
    definitions = world.hash(keys.definitions_of(command.kind))
    kind = DefinitionRow.read(DEFINITION, world.hash(keys.definition(DEFINITION)))
    definition = kind if definitions else None
    is_handled = definition is not None and definition.executor_type and definition.function
    row = BlueprintRow.read(command.name, world.hash(keys.blueprint(command.name)))
    asked = reconciler(command.location) if is_handled and with_cron else None
    there = keys.blueprints_at(row.kind, row.location) if row else None
    return Site(
        row=row,
        cron=asked,
        cron_id=named(world, asked.name) if asked else None,
        neighbours=len(world.hash(there)) if there else 0,
        their_cron=named(world, cron_name(row.kind, row.location)) if row else None,
        definition=definition,
        work=WORK if is_handled else None,
        classes={name.decode() for name in world.hash(keys.CLASSES)},
        same_id=same_id.decode() if same_id else None,
        knows_location=command.location.encode() in world.hash(keys.LOCATIONS),
    )


def reconciler(location: str = "") -> AddCron:
    return AddCron(
        cron_id=CRON_ID,
        name=f"reconcile-{KIND}-{location}" if location else f"reconcile-{KIND}",
        expression="",
        interval=60,
        random=False,
        waits=True,
        missed="skip",
        workflow="{}",
        template=b"",
        chance=60,
    )


def ticking(
    location: str = "", *, by: str = USER, name: str = "alice", cron_id: str = CRON_ID
) -> CronAdded:
    """The cron of a kind at a place."""
    asked = reconciler(location)
    return CronAdded(
        subject=cron_id,
        actor=by,
        at_ns=LATER,
        name=asked.name,
        initiator_kind="user",
        initiator_name=name,
        expression="",
        interval=60,
        random=False,
        waits=True,
        missed="skip",
        workflow="{}",
        template=b"",
        next_ns=LATER + 60 * SECOND_NS,
    )


def stopped(location: str = "", by: str = USER) -> CronRemoved:
    return CronRemoved(subject=CRON_ID, actor=by, at_ns=LATER, name=reconciler(location).name)


def add(caller: str = USER, *, with_cron: bool = False, **fields: Any) -> Decide:  # noqa: ANN401
    command = replace(PUT, **fields)

    def decide(world: World) -> Decision:
        where = site(world, command, with_cron=with_cron)
        return blueprint.add(world.gate(caller), command, where, LATER)

    return decide


def update(
    caller: str = USER,
    *,
    force: bool = False,
    with_cron: bool = False,
    **fields: Any,  # noqa: ANN401
) -> Decide:
    command = replace(PUT, **{"spec": OFF, "history_id": "h1"} | fields)

    def decide(world: World) -> Decision:
        gate, where = world.gate(caller), site(world, command, with_cron=with_cron)
        return blueprint.update(gate, command, where, LATER, force=force)

    return decide


def reconcile(caller: str = USER, *, force: bool = False) -> Decide:
    return lambda world: blueprint.reconcile(world.gate(caller), site(world), LATER, force=force)


def remove(caller: str = USER) -> Decide:
    return lambda world: blueprint.remove(world.gate(caller), site(world), LATER)


def set_status(caller: str = EXECUTOR, status: bytes = b'{"is":"on"}') -> Decide:
    return lambda world: blueprint.set_status(world.gate(caller), site(world).row, status, LATER)


# -------------------------------------------------------------------- add


def test_blueprint_is_added_with_the_process_that_sees_to_it() -> None:
    (
        given(*HERE)
        .when(add())
        .then(work(), added())
        .wakes(CLI.class_key)
        .unless(added())
        .unless(lit("other"))
        .unless(LEFT)
        .unless(UNDEFINED)
        .unless(UNDEFINED, defined(at_ns=LATER))
    )


def test_owner_may_add_and_has_no_name() -> None:
    given(*HERE).when(add(OWNER)).then(work(OWNER, ""), added(actor=OWNER))


def test_first_process_of_its_class_adds_the_class() -> None:
    by_server = replace(class_added(), actor="", at_ns=LATER)

    given(*inhabited(), defined()).when(add()).then(by_server, work(), added())


@pytest.mark.parametrize("handler", [("", "reconcile"), ("cli", ""), ("", "")])
def test_without_a_handler_nothing_is_submitted(handler: tuple[str, str]) -> None:
    quiet = defined(content=document(*handler))

    given(*inhabited(), quiet).when(add()).then(added()).wakes()


def test_unknown_location_is_created() -> None:
    there = added(location="home")

    given(*HERE).when(add(location="home")).then(HOME, work(), there).unless(HOME)
    given(*HERE, HOME).when(add(location="home")).then(work(), there)


def test_generation_and_status_of_the_client_are_kept() -> None:
    fields: dict[str, Any] = {"generation": 7, "status": b'{"s":0}'}

    given(*HERE).when(add(**fields)).then(work(), added(**fields))


def test_name_is_taken_once() -> None:
    given(*HERE, lit()).when(add(blueprint_id="other")).rejected(
        Clash, f"blueprint with name '{LAMP}' already exists in colony '{COLONY}'"
    )


def test_id_is_taken_once() -> None:
    given(*HERE, lit("other")).when(add()).rejected(
        Clash, f"blueprint with id '{LAMP_ID}' already exists"
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"kind": ""}, "blueprint kind is required"),
        ({"kind": "Nope"}, "BlueprintDefinition for kind 'Nope' not found in namespace 'dev'"),
        ({"name": ""}, "blueprint name is empty"),
        ({"name": "n" * 257}, "blueprint name is longer than 256 characters"),
        ({"blueprint_id": "i" * 257}, "blueprint id is longer than 256 characters"),
        (
            {"location": "a:b"},
            "Location name <a:b> has a character that is not allowed (colon or control)",
        ),
        ({"generation": -1}, f"blueprint generation must be from 0 to {MOST_GENERATION}"),
        (
            {"status": bytes(MOST_BYTES), "spec": PUT.spec},
            f"blueprint has {MOST_BYTES + 48} bytes, more than the limit of {MOST_BYTES}",
        ),
        (
            {"spec": b"{}"},
            "blueprint validation failed: required field 'power' is missing",
        ),
        (
            {"spec": b"null"},
            "blueprint validation failed: required field 'power' is missing",
        ),
        (
            {"spec": b'{"power":1}'},
            "blueprint validation failed: field 'power' must be a boolean, got float64",
        ),
    ],
)
def test_blueprint_that_is_none_is_refused(fields: dict[str, Any], text: str) -> None:
    given(*HERE).when(add(**fields)).rejected(Invalid, text)
    given(*HERE, lit()).when(update(**fields)).rejected(Invalid, text)


@pytest.mark.parametrize("caller", [STRANGER, "e3" * 32])
def test_outsiders_and_pending_executors_may_do_nothing(caller: str) -> None:
    here = (*HERE, lit(), executor_added("e3" * 32, "pending"))
    assert MemberState.PENDING == 0
    for decide in (add(caller), update(caller), remove(caller)):
        given(*here).when(decide).rejected(Denied, NOT_OWNER)
    for decide in (reconcile(caller), set_status(caller)):
        given(*here).when(decide).rejected(Denied, NOT_MEMBER)


def test_owner_is_no_member() -> None:
    for decide in (reconcile(OWNER), set_status(OWNER)):
        given(*HERE, lit()).when(decide).rejected(Denied, NOT_MEMBER)


# -------------------------------------------------------------------- update


def test_other_spec_is_a_new_generation() -> None:
    (
        given(*HERE, lit())
        .when(update())
        .then(work(), updated())
        .wakes(CLI.class_key)
        .unless(updated())
        .unless(GONE)
        .unless(GONE, added())
        .unless(LEFT)
        .unless(BlueprintForced(subject=LAMP_ID, actor=USER, at_ns=LATER, name=LAMP, generation=1))
    )


@pytest.mark.parametrize("spec", [b'{"power":true}', b'{ "power" : true }'])
def test_same_spec_is_the_same_generation(spec: bytes) -> None:
    same = updated(generation=0, spec=spec, history_id="")

    given(*HERE, lit()).when(update(spec=spec)).then(same).wakes()


@pytest.mark.parametrize("spec", [b'{"power":true,"n":1}', b'{"power":true,"n":[{"a":1}]}'])
def test_any_difference_counts(spec: bytes) -> None:
    given(*HERE, lit()).when(update(spec=spec)).then(work(), updated(spec=spec))


def test_forced_generation_is_new_whatever_the_spec() -> None:
    spec = PUT.spec

    given(*HERE, lit()).when(update(spec=spec, force=True)).then(work(), updated(spec=spec))


def test_generation_of_the_client_is_ignored() -> None:
    given(*HERE, lit(generation=3)).when(update(generation=9)).then(work(), updated(generation=4))


def test_generation_has_a_limit() -> None:
    given(*HERE, lit(generation=MOST_GENERATION)).when(update()).rejected(
        Invalid, f"blueprint generation is at its limit of {MOST_GENERATION}"
    )


def test_id_is_kept_whatever_the_client_says() -> None:
    given(*HERE, lit()).when(update(blueprint_id="other")).then(work(), updated())


def test_blueprint_may_move_to_an_unknown_location() -> None:
    there = updated(location="home", was_location="shed")

    given(*HERE, lit(location="shed")).when(update(location="home")).then(HOME, work(), there)


def test_unknown_blueprint_is_not_updated() -> None:
    given(*HERE).when(update()).rejected(
        NotFound, f"blueprint '{LAMP}' not found in namespace '{COLONY}'"
    )


# -------------------------------------------------------------------- status


def test_member_sets_the_status() -> None:
    changed = BlueprintStatusChanged(
        subject=LAMP_ID, actor=EXECUTOR, at_ns=LATER, name=LAMP, status=b'{"is":"on"}'
    )
    given(*HERE, lit()).when(set_status()).then(changed).unless(GONE).unless(updated())
    given(*HERE, lit()).when(set_status(status=b"")).then(replace(changed, status=b""))


def test_status_does_not_keep_others_from_an_update() -> None:
    changed = BlueprintStatusChanged(
        subject=LAMP_ID, actor=EXECUTOR, at_ns=LATER, name=LAMP, status=b"{}"
    )
    decision = update()(World((*HERE, lit())))

    assert World((*HERE, lit(), changed)).failed(decision) == []


def test_status_counts_to_the_size() -> None:
    given(*HERE, lit()).when(set_status(status=bytes(MOST_BYTES))).rejected(
        Invalid, f"blueprint has {MOST_BYTES + 48} bytes, more than the limit of {MOST_BYTES}"
    )


def test_what_is_not_there_cannot_be_changed() -> None:
    for decide in (set_status(), reconcile(), remove()):
        given(*HERE).when(decide).rejected(NotFound, "Blueprint not found")


# -------------------------------------------------------------------- reconcile, remove


def test_reconciling_submits_a_process() -> None:
    (
        given(*HERE, lit())
        .when(reconcile())
        .then(work())
        .wakes(CLI.class_key)
        .unless(GONE)
        .unless(LEFT)
    )


def test_forced_reconciling_is_a_new_generation() -> None:
    forced = BlueprintForced(subject=LAMP_ID, actor=USER, at_ns=LATER, name=LAMP, generation=1)
    given(*HERE, lit()).when(reconcile(force=True)).then(forced, work()).unless(forced)


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (("", "f"), "Blueprint has no handler with executor type defined"),
        (("cli", ""), "Blueprint has no handler with function name defined"),
    ],
)
def test_without_a_handler_nothing_is_reconciled(handler: tuple[str, str], text: str) -> None:
    here = (*inhabited(), defined(content=document(*handler)), lit())

    given(*here).when(reconcile()).rejected(Invalid, text)


@pytest.mark.parametrize(("caller", "name"), [(USER, "alice"), (OWNER, "")])
def test_removing_submits_the_cleaning_up(caller: str, name: str) -> None:
    (
        given(*HERE, lit())
        .when(remove(caller))
        .then(work(caller, name), replace(GONE, actor=caller))
        .unless(GONE)
        .unless(updated())
    )


def test_removed_blueprint_leaves_no_row() -> None:
    before = World(HERE).values
    after = World((*HERE, lit(), updated(location="home"), replace(GONE, location="home"))).values

    assert after == before


# -------------------------------------------------------------------- crons


def test_first_blueprint_of_a_kind_has_it_reconciled_again_and_again() -> None:
    (
        given(*HERE)
        .when(add(with_cron=True))
        .then(ticking(), work(), added())
        .unless(ticking(cron_id="another"))
    )


def test_each_place_has_a_cron_of_its_own() -> None:
    given(*HERE, ticking(), HOME).when(add(with_cron=True, location="home")).then(
        ticking("home"), work(), added(location="home")
    )


def test_next_blueprint_finds_the_cron_there_and_relies_on_it() -> None:
    here = (*HERE, lit("other", "o"), ticking())

    given(*here).when(add(with_cron=True)).then(work(), added()).unless(stopped())


def test_owner_makes_no_cron_as_it_could_start_nothing() -> None:
    given(*HERE).when(add(OWNER, with_cron=True)).then(work(OWNER, ""), added(actor=OWNER))


def test_update_by_a_member_makes_the_cron_that_is_missing() -> None:
    same = updated(generation=0, spec=PUT.spec, history_id="")

    given(*HERE, lit()).when(update(with_cron=True, spec=PUT.spec)).then(ticking(), same)


def test_blueprint_that_moves_takes_its_cron_along() -> None:
    moved = updated(location="home", generation=0, spec=PUT.spec, history_id="")
    move = update(with_cron=True, location="home", spec=PUT.spec)
    alone = (*HERE, lit(), ticking(), HOME)

    given(*alone).when(move).then(stopped(), ticking("home"), moved)
    given(*alone, lit("other", "o")).when(move).then(ticking("home"), moved)


@pytest.mark.parametrize("caller", [USER, OWNER])
def test_cron_goes_with_the_last_blueprint_of_its_kind_and_place(caller: str) -> None:
    gone = replace(GONE, actor=caller)
    name = "alice" if caller == USER else ""
    (
        given(*HERE, lit(), ticking())
        .when(remove(caller))
        .then(stopped(by=caller), work(caller, name), gone)
        .unless(lit("other", "o"))
        .unless(stopped())
    )


def test_cron_stays_while_another_blueprint_is_there() -> None:
    others = (lit("other", "o"), lit("away", "a", location="home"))
    other_gone = BlueprintRemoved(
        subject="o", actor=USER, at_ns=LATER, name="other", kind=KIND, location=""
    )
    (given(*HERE, lit(), *others, ticking()).when(remove()).then(work(), GONE).unless(other_gone))
