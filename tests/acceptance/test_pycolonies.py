"""The ecosystem's own Python SDK, unmodified, against a really started server."""

import importlib
import itertools
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from broker.identity import Identity
from tests.acceptance.conftest import OWNER
from tests.acceptance.processes import Server
from tests.patience import PATIENCE_S

pycolonies: Any = importlib.import_module("pycolonies")  # it is untyped
_numbers = itertools.count()
SUCCESS, FAILED = 2, 3


@dataclass(frozen=True)
class Story:
    """A colony as a user of the SDK sets it up."""

    sdk: Any
    colony: str
    owner: str
    user: str
    executor: str
    executor_id: str

    def submit(self, *args: str | int, **options: Any) -> Any:  # noqa: ANN401 - the SDK's
        """Submit a process as the user."""
        spec = pycolonies.func_spec(
            "echo", list(args), self.colony, "echo-executor", kwargs={}, **options
        )
        return self.sdk.submit_func_spec(spec, self.user)

    def assign(self, timeout: int = 10) -> Any:  # noqa: ANN401 - the SDK's
        """Ask for work as the executor."""
        return self.sdk.assign(self.colony, timeout, self.executor)


@pytest.fixture
def story(servers: tuple[Server, Server]) -> Story:
    """A colony with a user and an approved executor that has a function."""
    sdk = pycolonies.Colonies("127.0.0.1", servers[0].port)
    owner, user, executor = Identity.generate(), Identity.generate(), Identity.generate()
    colony = f"sdk{next(_numbers)}"
    sdk.add_colony({"colonyid": owner.id, "name": colony}, OWNER.prvkey)
    person = {
        "colonyname": colony,
        "userid": user.id,
        "name": "johan",
        "email": "johan@example.com",
        "phone": "",
    }
    sdk.add_user(person, owner.prvkey)
    worker = {
        "executorname": "worker",
        "executorid": executor.id,
        "colonyname": colony,
        "executortype": "echo-executor",
    }
    sdk.add_executor(worker, owner.prvkey)
    sdk.approve_executor(colony, "worker", owner.prvkey)
    sdk.add_function(colony, "worker", "echo", executor.prvkey)
    return Story(sdk, colony, owner.prvkey, user.prvkey, executor.prvkey, executor.id)


@pytest.fixture
def thread() -> Generator[ThreadPoolExecutor]:
    """A second thread, in which an executor waits."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_submitter_reads_what_a_waiting_executor_returned(
    story: Story, thread: ThreadPoolExecutor
) -> None:
    waiting = thread.submit(story.assign)
    submitted = story.submit("hello", 42)

    assigned = waiting.result()
    assert assigned.processid == submitted.processid
    assert assigned.spec.args == ["hello", 42]
    assert assigned.assignedexecutorid == story.executor_id
    story.sdk.close(assigned.processid, ["hello", 42, 1.5], story.executor)

    read = story.sdk.get_process(submitted.processid, story.user)
    assert (read.state, read.output) == (SUCCESS, ["hello", 42, 1.5])
    assert (read.initiatorname, read.isassigned) == ("johan", True)


def test_failure_reaches_the_submitter_with_its_errors(story: Story) -> None:
    submitted = story.submit()
    story.sdk.fail(story.assign().processid, ["first", "second"], story.executor)

    read = story.sdk.get_process(submitted.processid, story.user)

    assert (read.state, read.errors) == (FAILED, ["first", "second"])


def test_output_is_read_before_the_process_is_closed(story: Story) -> None:
    submitted = story.submit()
    process = story.assign()
    story.sdk.set_output(process.processid, ["partial"], story.executor)

    assert story.sdk.get_process(submitted.processid, story.user).output == ["partial"]

    story.sdk.close(process.processid, [], story.executor)
    assert story.sdk.get_process(submitted.processid, story.user).output == ["partial"]


def test_attribute_is_found_by_id_and_on_its_process(story: Story) -> None:
    story.submit()
    process = story.assign()

    attribute = story.sdk.add_attribute(process.processid, "key", "value", story.executor)

    found = story.sdk.get_attribute(attribute["attributeid"], story.user)
    assert (found["key"], found["value"]) == ("key", "value")
    (shown,) = story.sdk.get_process(process.processid, story.user).attributes
    assert (shown.key, shown.value, shown.targetid) == ("key", "value", process.processid)


def test_statistics_count_what_happened(story: Story) -> None:
    story.submit()
    story.sdk.close(story.assign().processid, [], story.executor)
    story.submit()
    story.sdk.fail(story.assign().processid, [], story.executor)
    story.submit()

    seen = story.sdk.stats(story.colony, story.user)

    names = ("waitingprocesses", "runningprocesses", "successfulprocesses", "failedprocesses")
    assert [seen[name] for name in names] == [1, 0, 1, 1]
    assert (seen["executors"], seen["activeexecutors"]) == (1, 1)


def counted(ask: Callable[[], list[Any]]) -> Any:  # noqa: ANN401 - the SDK's
    """The only function, once a run was counted; a server waits for that, but not for long."""
    late = time.monotonic() + PATIENCE_S
    while True:
        (found,) = ask()
        if found["counter"] or time.monotonic() > late:
            return found


def test_functions_are_counted_when_they_succeed(story: Story) -> None:
    story.submit()
    story.sdk.close(story.assign().processid, [], story.executor)

    by_executor = counted(
        lambda: story.sdk.get_functions_by_executor(story.colony, "worker", story.user)
    )
    by_colony = counted(lambda: story.sdk.get_functions_by_colony(story.colony, story.user))

    assert by_executor == by_colony
    assert (by_executor["funcname"], by_executor["counter"]) == ("echo", 1)
    assert by_executor["maxexectime"] > 0


def test_processes_are_listed_by_state(story: Story) -> None:
    first, second, third = (story.submit(i) for i in range(3))
    story.sdk.close(story.assign().processid, [], story.executor)
    story.assign()

    listed = {
        state: [
            p["processid"] for p in story.sdk.list_processes(story.colony, 10, state, story.user)
        ]
        for state in range(4)
    }

    assert listed == {0: [third.processid], 1: [second.processid], 2: [first.processid], 3: []}


def test_members_are_listed(story: Story) -> None:
    (executor,) = story.sdk.list_executors(story.colony, story.user)
    (user,) = story.sdk.get_users(story.colony, story.user)

    assert (executor["executorname"], executor["state"]) == ("worker", 1)
    assert (user["name"], user["email"]) == ("johan", "johan@example.com")
    assert story.sdk.get_executor(story.colony, "worker", story.user) == executor
    assert story.sdk.get_colony(story.colony, story.user)["name"] == story.colony


def test_code_and_environment_travel_with_the_process(story: Story) -> None:
    story.submit(code="print('h€llo')".encode("ascii", "replace").decode())

    process = story.assign()

    assert set(process.spec.env) == {"code"}
    assert [a.key for a in process.attributes] == ["code"]


def test_removed_executor_is_told_that_it_is_no_member(story: Story) -> None:
    story.sdk.remove_executor(story.colony, "worker", story.owner)

    with pytest.raises(pycolonies.ColoniesConnectionError, match="not a member of Colony"):
        story.assign(1)


def test_rejected_executor_is_told_that_it_is_no_member(story: Story) -> None:
    story.sdk.reject_executor(story.colony, "worker", story.owner)

    with pytest.raises(pycolonies.ColoniesConnectionError, match="not a member of Colony"):
        story.assign(1)


def test_nothing_to_do_is_an_error_with_a_message(story: Story) -> None:
    with pytest.raises(
        pycolonies.ColoniesConnectionError, match="No process available for assignment"
    ):
        story.assign(-1)


def test_everything_is_removed_again(story: Story) -> None:
    first = story.submit()
    story.submit()
    story.sdk.remove_process(first.processid, story.user)
    story.sdk.remove_all_processes(story.colony, story.owner)
    assert story.sdk.list_processes(story.colony, 10, 0, story.user) == []

    story.sdk.remove_user(story.colony, "johan", story.owner)
    with pytest.raises(pycolonies.ColoniesConnectionError, match="not a member of Colony"):
        story.submit()

    story.sdk.del_colony(story.colony, OWNER.prvkey)
    names = [colony["name"] for colony in story.sdk.list_colonies(OWNER.prvkey)]
    assert story.colony not in names


def test_unknown_process_is_an_error_with_a_message(story: Story) -> None:
    with pytest.raises(pycolonies.ColoniesConnectionError, match="process not found"):
        story.sdk.get_process("ab" * 32, story.user)


def test_wait_hears_that_a_process_succeeded(story: Story, thread: ThreadPoolExecutor) -> None:
    process = story.submit("a")
    waiting = thread.submit(story.sdk.wait, process, 20, story.user)
    assigned = story.assign()
    story.sdk.close(assigned.processid, ["out"], story.executor)
    waited = waiting.result(timeout=PATIENCE_S)

    assert (waited.processid, waited.state, waited.output) == (process.processid, SUCCESS, ["out"])


def test_wait_for_a_process_that_succeeded_before_returns_at_once(story: Story) -> None:
    process = story.submit("a")
    story.sdk.close(story.assign().processid, ["out"], story.executor)

    assert story.sdk.wait(process, 20, story.user).state == SUCCESS


def test_blueprint_lives_through_generations_until_it_is_cleaned_up(story: Story) -> None:
    metadata = {"name": "lamp", "colonyname": story.colony}
    handler = {"executorType": "echo-executor", "functionName": "echo"}
    schema = {"properties": {"power": {"type": "boolean"}}, "required": ["power"]}
    device = {
        "kind": "BlueprintDefinition",
        "metadata": {"name": "devices", "colonyname": story.colony},
        "spec": {"names": {"kind": "Device"}, "schema": schema, "handler": handler},
    }
    lamp = {"kind": "Device", "metadata": metadata, "spec": {"power": True}}
    story.sdk.add_blueprint_definition(device, story.owner)

    added = story.sdk.add_blueprint(lamp, story.user)
    updated = story.sdk.update_blueprint(lamp | {"spec": {"power": False}}, story.user)
    story.sdk.update_blueprint_status(story.colony, "lamp", {"phase": "Ready"}, story.executor)
    asked = story.sdk.reconcile_blueprint(story.colony, "lamp", story.user)
    seen = story.sdk.get_blueprint(story.colony, "lamp", story.user)
    changes = story.sdk.get_blueprint_history(added["blueprintid"], story.user)
    listed = story.sdk.get_blueprints(story.colony, story.user, kind="Device")
    story.sdk.remove_blueprint(story.colony, "lamp", story.user)
    story.sdk.remove_blueprint_definition(story.colony, "devices", story.owner)

    assert updated["metadata"]["generation"] == 1
    assert (seen["metadata"]["generation"], seen["status"]) == (1, {"phase": "Ready"})
    assert [each["changetype"] for each in changes] == ["update", "create"]
    assert listed == [seen]
    works = [story.assign() for _ in range(4)]
    assert works[2].processid == asked["processid"]
    assert [each.spec.funcname for each in works] == ["echo", "echo", "echo", "cleanup"]
