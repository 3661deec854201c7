"""The Python SDK's calls about workflows, crons, generators, logs and channels, unmodified."""

import importlib
import json
from typing import Any

import pytest

from tests.acceptance.test_pycolonies import SUCCESS, Story, story

pycolonies: Any = importlib.import_module("pycolonies")  # it is untyped
__all__ = ["story"]  # the fixture
FAILED = 3


def node(story: Story, name: str, *parents: str, **options: Any) -> Any:  # noqa: ANN401 - the SDK's
    """A function spec with a name and dependencies."""
    spec = pycolonies.func_spec("echo", [name], story.colony, "echo-executor", kwargs={}, **options)
    spec.nodename = name
    for parent in parents:
        spec.conditions.dependencies.append(parent)
    return spec


def workflow(story: Story, *nodes: Any) -> Any:  # noqa: ANN401 - the SDK's
    """A workflow of the colony."""
    found = pycolonies.Workflow(colonyname=story.colony)
    found.functionspecs.extend(nodes)
    return found


def diamond(story: Story) -> Any:  # noqa: ANN401 - the SDK's
    """One, two beside each other, one."""
    return workflow(
        story,
        node(story, "a"),
        node(story, "b", "a"),
        node(story, "c", "a"),
        node(story, "d", "b", "c"),
    )


def test_workflow_runs_to_its_end(story: Story) -> None:
    graph = story.sdk.submit_workflow(diamond(story), story.user)

    for _ in range(4):
        process = story.assign()
        said = [process.spec.nodename, *process.input]
        story.sdk.close(process.processid, said, story.executor)

    ended = story.sdk.get_processgraph(graph.processgraphid, story.user)
    assert ended.state == SUCCESS
    assert [edge.animated for edge in ended.edges] == [False] * 4
    last = story.sdk.find_process("d", ended.processids, story.user)
    assert last.input == ["b", "a", "c", "a"]
    listed = story.sdk.get_processes_for_workflow(graph.processgraphid, story.colony, story.user)
    assert {process["processid"] for process in listed} == set(ended.processids)
    (shown,) = story.sdk.get_processgraphs(story.colony, 10, story.user, state=SUCCESS)
    assert shown["processgraphid"] == graph.processgraphid
    story.sdk.remove_processgraph(graph.processgraphid, story.user)
    with pytest.raises(pycolonies.ColoniesConnectionError, match="graph is nil"):
        story.sdk.get_processgraph(graph.processgraphid, story.user)


def test_workflow_grows_while_it_runs(story: Story) -> None:
    chain = workflow(story, node(story, "first"), node(story, "last", "first"))
    graph = story.sdk.submit_workflow(chain, story.user)
    process = story.assign()

    story.sdk.add_child(
        graph.processgraphid,
        process.processid,
        "",
        node(story, "between"),
        "between",
        True,  # noqa: FBT003 - the SDK's
        story.executor,
    )

    names = [process.spec.nodename]
    story.sdk.close(process.processid, ["1"], story.executor)
    for _ in range(2):
        process = story.assign()
        names.append(process.spec.nodename)
        story.sdk.close(process.processid, [], story.executor)
    assert names == ["first", "between", "last"]
    assert story.sdk.get_processgraph(graph.processgraphid, story.user).state == SUCCESS


def test_failure_ends_what_depends_on_it(story: Story) -> None:
    graph = story.sdk.submit_workflow(diamond(story), story.user)
    process = story.assign()

    story.sdk.fail(process.processid, ["no luck"], story.executor)

    assert story.sdk.get_processgraph(graph.processgraphid, story.user).state == FAILED
    listed = story.sdk.get_processes_for_workflow(graph.processgraphid, story.colony, story.user)
    assert {each["state"] for each in listed} == {FAILED}
    story.sdk.remove_all_processgraphs(story.colony, story.owner, state=-1)
    assert story.sdk.stats(story.colony, story.user)["failedworkflows"] == 0


def test_cron_starts_a_workflow_when_told_to(story: Story) -> None:
    cron = story.sdk.add_cron(
        "nightly",
        "0 0 3 * * *",
        False,  # noqa: FBT003 - the SDK's
        workflow(story, node(story, "work")),
        story.colony,
        story.user,
    )
    assert [c["name"] for c in story.sdk.get_crons(story.colony, 10, story.user)] == ["nightly"]

    story.sdk.run_cron(cron["cronid"], story.user)

    process = story.assign()
    assert process.spec.nodename == "work"
    story.sdk.close(process.processid, [], story.executor)
    read = story.sdk.get_cron(cron["cronid"], story.user)
    assert read["prevprocessgraphid"] == process.processgraphid
    story.sdk.del_cron(cron["cronid"], story.user)
    assert story.sdk.get_crons(story.colony, 10, story.user) == []


def test_generator_is_kept(story: Story) -> None:
    spec = workflow(story, node(story, "work")).model_dump(by_alias=True)
    wished = {
        "colonyname": story.colony,
        "name": "batch",
        "trigger": 5,
        "timeout": -1,
        "workflowspec": json.dumps(spec),
    }
    added = story.sdk.add_generator(wished, story.user)

    read = story.sdk.get_generator(added["generatorid"], story.user)
    assert (read["trigger"], read["queuesize"]) == (5, 0)
    assert len(story.sdk.get_generators(story.colony, story.user)) == 1
    story.sdk.remove_generator(added["generatorid"], story.user)
    assert story.sdk.get_generators(story.colony, story.user) == []


def test_executor_says_what_it_does(story: Story) -> None:
    submitted = story.submit("hello")
    process = story.assign()
    for line in ("one", "two"):
        story.sdk.add_log(process.processid, line, story.executor)

    logs = story.sdk.get_process_log(story.colony, submitted.processid, 10, 0, story.user)
    assert [line["message"] for line in logs] == ["one", "two"]
    later = story.sdk.get_process_log(
        story.colony, submitted.processid, 10, logs[0]["timestamp"], story.user
    )
    assert [line["message"] for line in later] == ["two"]
    said = story.sdk.get_executor_log(story.colony, "worker", 10, 0, story.user)
    assert [line["message"] for line in said] == ["one", "two"]


def test_submitter_and_executor_talk_in_a_channel(story: Story) -> None:
    spec = pycolonies.func_spec("chat", [], story.colony, "echo-executor", kwargs={})
    spec.channels = ["chat"]
    submitted = story.sdk.submit_func_spec(spec, story.user)
    process = story.assign()

    story.sdk.channel_append(submitted.processid, "chat", 1, b"2+2?", story.user)
    story.sdk.channel_append(process.processid, "chat", 1, b"4", story.executor, in_reply_to=1)

    entries = story.sdk.channel_read(submitted.processid, "chat", 0, 0, story.user)
    assert [(entry["sequence"], entry.get("inreplyto", 0)) for entry in entries] == [(1, 0), (1, 1)]
    story.sdk.close(process.processid, [], story.executor)
    heard = story.sdk.subscribe_channel(submitted.processid, "chat", story.user)
    assert [entry["payload"] for entry in heard] == [b"2+2?", b"4"]
