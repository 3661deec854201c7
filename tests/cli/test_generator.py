"""Generators: what the commands send, and what they make of the reference's recorded replies."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from broker.identity import Identity
from tests.cli.conftest import Ran, Shell
from tests.cli.test_client import Listener, refusal, reply
from tests.cli.test_commands import labels, rows

SPEC = Path(__file__).parents[2] / "docs" / "examples" / "generators" / "generator_workflow.json"
ID = "77d06f820544378ddd34bb5b517bcb624be2ebf0522e16d209275f5c41bb79c9"
OTHER = "78" + ID[2:]
NODE = {"nodename": "r1", "funcname": "echo", "args": ["r1"], "kwargs": {"k": "v"}}
STORED = {
    "generatorid": ID,
    "initiatorid": "3fc05cf3df4b494e95d6a3d297a34f19938f7daa7422ab0d4f794454133341ac",
    "initiatorname": "user1",
    "colonyname": "dev",
    "name": "g1",
    "workflowspec": json.dumps({"colonyname": "dev", "functionspecs": [NODE]}),
    "trigger": 5,
    "timeout": -1,
    "firstpack": "2026-11-23T07:13:42.437628Z",
    "lastrun": "0001-01-01T00:00:00Z",
    "queuesize": 4,
    "checkerperiod": 1000,
}
LISTED = [STORED, {**STORED, "generatorid": OTHER, "name": "g2"}]
Asking = Callable[..., Awaitable[tuple[Ran, list[dict[str, object]]]]]


@pytest.fixture
def ask(tmp_path: Path) -> Asking:
    """Run a command line against these replies: what it did, and the messages it sent."""

    async def run(line: str, *replies: bytes) -> tuple[Ran, list[dict[str, object]]]:
        listener = Listener(*replies)
        async with listener.listening() as address:
            shell = Shell(
                {
                    "COLONIES_HOME": str(tmp_path),
                    "COLONIES_SERVER_HOST": address.host,
                    "COLONIES_SERVER_PORT": str(address.port),
                    "COLONIES_TLS": "false",
                    "COLONIES_COLONY_NAME": "dev",
                    "COLONIES_PRVKEY": Identity.generate().prvkey,
                }
            )
            ran = await asyncio.to_thread(shell, line)
        return ran, [listener.message(number) for number in range(len(listener.bodies))]

    return run


async def test_a_generator_is_added(ask: Asking) -> None:
    ran, (message,) = await ask(f"generator add --spec {SPEC} --name g1 --trigger 5", reply(STORED))
    assert (ran.code, ran.id) == (0, ID)
    assert "] Generator added " in ran.err
    assert ran.err.endswith(f"GeneratorID={ID} GeneratorName=g1 Timeout=-1 Trigger=5\n")
    assert message["msgtype"] == "addgeneratormsg"
    generator = cast("dict[str, object]", message["generator"])
    assert [generator[key] for key in ("colonyname", "name", "trigger", "timeout")] == [
        "dev",
        "g1",
        5,
        -1,
    ]
    spec = cast("dict[str, object]", json.loads(cast("str", generator["workflowspec"])))
    (node,) = cast("list[dict[str, object]]", spec["functionspecs"])
    assert spec["colonyname"] == "dev"
    assert (node["nodename"], node["maxexectime"]) == ("generator_example", -1)


async def test_generators_are_listed(ask: Asking) -> None:
    ran, (message,) = await ask("generator ls", reply(LISTED))
    assert rows(ran) == [["GENERATORID", "NAME"], [ID, "g1"], [OTHER, "g2"]]
    assert (message["msgtype"], message["count"]) == ("getgeneratorsmsg", 100)
    ran, _ = await ask("generator ls -w", reply(LISTED))
    assert rows(ran)[1][2:] == ["5", "-1", "-", "user1"]
    ran, _ = await ask("generator ls --json", reply(LISTED))
    assert ran.json == LISTED


async def test_no_generators_are_an_empty_list(ask: Asking) -> None:
    ran, _ = await ask("generator ls", reply(None))
    assert (ran.code, ran.out, "No generators found" in ran.err) == (0, "", True)
    ran, _ = await ask("generator ls --json", reply(None))
    assert ran.json == []


async def test_a_generator_is_shown_as_in_the_guide(ask: Asking) -> None:
    ran, (message,) = await ask(f"generator get --generatorid {ID}", reply(STORED))
    assert message["generatorid"] == ID
    assert [line for line in ran.out.splitlines() if line.endswith(":")] == [
        "Generator:",
        "WorkflowSpec:",
        "FunctionSpec 0:",
        "Conditions:",
    ]
    assert labels(ran)[:7] == [
        "Id",
        "Name",
        "Trigger",
        "Timeout",
        "Lastrun",
        "CheckerPeriod",
        "QueueSize",
    ]
    assert ["Lastrun", "-"] in rows(ran)
    assert ["KwArgs", "k:v"] in rows(ran)


async def test_an_argument_is_packed_whatever_it_begins_with(ask: Asking) -> None:
    ran, (message,) = await ask(f"generator pack --generatorid {ID} --arg -hello1", reply({}))
    assert (ran.code, ran.id) == (0, ID)
    assert "] Packing arg to generator " in ran.err
    assert ran.err.endswith(f"Arg=-hello1 GeneratorID={ID}\n")
    assert message["arg"] == "-hello1"


async def test_a_generator_is_removed(ask: Asking) -> None:
    ran, (message,) = await ask(f"generator remove --generatorid {ID}", reply({}))
    assert message["msgtype"] == "removegeneratormsg"
    assert "] Deleting generator " in ran.err
    assert ran.err.endswith(f"GeneratorID={ID}\n")


@pytest.mark.parametrize("called", ["g2", "7", OTHER[:6], f"{OTHER[:12]}…"])
async def test_a_generator_is_called_by_its_name_or_the_beginning_of_its_id(
    ask: Asking, called: str
) -> None:
    _, messages = await ask(f"generator pack {called} --arg x", reply(LISTED), reply({}))
    # What is too short to be the beginning of an id is nobody's name here.
    assert messages[1]["generatorid"] == ("7" if called == "7" else OTHER)


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        (
            f"generator add --spec {SPEC} --name g1 --trigger 5",
            400,
            "Generator with name <g1> in Colony <dev> already exists",
        ),
        (f"generator get {ID}", 500, "Failed to get generator, generator is nil"),
        (f"generator pack {ID} --arg a", 500, "Failed to increment generator, generator is nil"),
        (f"generator remove {ID}", 500, "Failed to remove generator, generator is nil"),
    ],
)
async def test_a_refusal_says_what_to_do_next(
    ask: Asking, line: str, status: int, text: str
) -> None:
    ran, _ = await ask(line, refusal(status, text))
    error, hint = ran.err.splitlines()
    assert (ran.code, ran.out, error) == (1, "", f"error: {text}")
    assert "colonies generator ls" in hint


@pytest.mark.parametrize("missing", ["--name g1 --trigger 5", f"--spec {SPEC} --name g1"])
async def test_what_a_generator_needs_is_required(ask: Asking, missing: str) -> None:
    ran, messages = await ask(f"generator add {missing}")
    assert (ran.code, messages) == (2, [])
