"""Recordings are replayed as they were made: ids carried over, polls in flight, time passing."""

import asyncio
import base64
import json
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.contract.recording import Line, Recording
from tests.contract.replay import Problem, Replay
from tests.contract.stand_in import OUR_ID, RECORDED_ID, SIGNER, always, exchange, replay, sending


async def test_server_made_id_is_used_in_later_requests() -> None:
    asked: list[str] = []

    def get(message: dict[str, Any]) -> tuple[int, object]:
        asked.append(message["processid"])
        return 200, {"processid": OUR_ID}

    lines = [
        exchange("submitfuncspecmsg", {"processid": RECORDED_ID}),
        sending(exchange("getprocessmsg", {"processid": RECORDED_ID}), processid=RECORDED_ID),
    ]
    answers = {
        "submitfuncspecmsg": always(200, {"processid": OUR_ID}),
        "getprocessmsg": get,
    }

    assert await replay(*lines, answers=answers) == []
    assert asked == [OUR_ID]


async def test_other_id_than_before_is_a_problem() -> None:
    lines = [
        exchange("submitfuncspecmsg", {"processid": RECORDED_ID}),
        exchange("closesuccessfulmsg", {"processid": RECORDED_ID}),
    ]
    answers = {
        "submitfuncspecmsg": always(200, {"processid": OUR_ID}),
        "closesuccessfulmsg": always(200, {"processid": "ef" * 32}),
    }

    assert [each.line.name for each in await replay(*lines, answers=answers)] == [
        "closesuccessfulmsg"
    ]


async def test_id_given_twice_is_a_problem() -> None:
    lines = [
        exchange("submitfuncspecmsg", {"processid": RECORDED_ID}),
        exchange("addchildmsg", {"processid": "ba" * 32}),
    ]
    answers = {
        "submitfuncspecmsg": always(200, {"processid": OUR_ID}),
        "addchildmsg": always(200, {"processid": OUR_ID}),
    }

    assert len(await replay(*lines, answers=answers)) == 1


async def test_id_that_the_client_sent_has_to_come_back() -> None:
    line = sending(exchange("addusermsg", {"userid": RECORDED_ID}), userid=RECORDED_ID)

    assert len(await replay(line, answers={"addusermsg": always(200, {"userid": OUR_ID})})) == 1


async def test_bound_value_of_any_form_is_used_in_later_requests() -> None:
    asked: list[str] = []

    def get(message: dict[str, Any]) -> tuple[int, object]:
        asked.append(message["name"])
        return 200, {}

    lines = [
        exchange("addthingmsg", {"name": "made-up-1"}, bind={"thing": "made-up-1"}),
        sending(exchange("getthingmsg", {}), name="made-up-1"),
    ]
    answers = {"addthingmsg": always(200, {"name": "ours-7"}), "getthingmsg": get}

    assert await replay(*lines, answers=answers) == []
    assert asked == ["ours-7"]


async def test_question_is_asked_again_until_time_has_passed() -> None:
    states = iter([0, 3])
    line = exchange("getprocessmsg", {"state": 3})

    assert (
        await replay(line, answers={"getprocessmsg": lambda _: (200, {"state": next(states)})})
        == []
    )


async def test_command_is_never_sent_again() -> None:
    sent: list[int] = []

    def close(_message: dict[str, Any]) -> tuple[int, object]:
        sent.append(1)
        return 500, "no"

    await replay(exchange("closesuccessfulmsg", {}), answers={"closesuccessfulmsg": close})

    assert sent == [1]


async def test_refused_poll_has_to_wait_as_long_as_recorded() -> None:
    line = exchange("assignprocessmsg", "No process", status=404, elapsed_s=1.0)

    assert len(await replay(line, answers={"assignprocessmsg": always(404, "No process")})) == 1


class WorkQueue:
    """A stand-in whose assign waits until something was submitted."""

    def __init__(self, *, patient: bool) -> None:
        self.submitted = asyncio.Event()
        self.patient = patient

    async def api(self, request: Request) -> Response:
        """Answer a submit at once, an assign when it is due."""
        kind = (await request.json())["payloadtype"]
        if kind == "submitfuncspecmsg":
            self.submitted.set()
        elif self.patient:
            await self.submitted.wait()
        payload = base64.b64encode(json.dumps({"processid": OUR_ID}).encode()).decode()
        return Response(json.dumps({"payloadtype": kind, "payload": payload, "error": False}))

    async def replay(self, *lines: Line) -> list[Problem]:
        """Replay a recording on this queue."""
        app = Starlette(routes=[Route("/api", self.api, methods=["POST"])])
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://stand-in") as client:
            recording = Recording("small", lines)
            identities = {"member": SIGNER}
            return await Replay(client=client, identities=identities, recording=recording).run()


def waiting_assign() -> tuple[Line, Line]:
    return (
        exchange("submitfuncspecmsg", {"processid": RECORDED_ID}),
        exchange("assignprocessmsg", {"processid": RECORDED_ID}, elapsed_s=1.5),
    )


async def test_poll_that_waited_is_under_way_before_its_release() -> None:
    assert await WorkQueue(patient=True).replay(*waiting_assign()) == []


async def test_poll_that_does_not_wait_for_its_release_is_a_problem() -> None:
    (problem,) = await WorkQueue(patient=False).replay(*waiting_assign())

    assert problem.details == ("assignprocessmsg was answered before this line released it",)
