"""kill -9 of everything, one after the other: nothing acknowledged is lost, and service resumes."""

import asyncio
import base64
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from bench import usage
from tests.acceptance.asking import Answer, Api, eventually
from tests.acceptance.conftest import OWNER, settings_on
from tests.acceptance.inspection import Ear, verified, waiting
from tests.acceptance.processes import Server, Store, launched, started
from tests.acceptance.tenants import Executor, Tenant, found
from tests.acceptance.test_metrics import scraped

# A connection that is reset while httpx still opens it is left to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]
NOTHING = (404, "No process available for assignment")


@pytest.fixture
def alone(store: Store) -> Generator[Server]:
    """One process on a store of its own."""
    with started(settings_on(store.url)) as server:
        yield server


@pytest.fixture
def many(store: Store) -> Generator[Server]:
    """A supervisor of three workers."""
    with started(settings_on(store.url, workers=3)) as server:
        yield server


@dataclass
class Load:
    """Submits, assigns and closes for as long as it is told to, and remembers every yes."""

    api: Api
    tenant: Tenant
    executor: Executor
    submitted: list[str] = field(default_factory=list[str])
    closed: list[str] = field(default_factory=list[str])
    odd: list[str] = field(default_factory=list[str])
    stop: bool = False

    async def run(self) -> None:
        """Two of each kind at once."""
        await asyncio.gather(self._submit(), self._submit(), self._work(), self._work())

    async def _submit(self) -> None:
        while not self.stop:
            spec = self.tenant.spec()
            answer = await self._ask(self.api.ask(self.tenant.user, "submitfuncspecmsg", spec=spec))
            if answer is not None:
                self.submitted.append(answer.ok["processid"])

    async def _work(self) -> None:
        while not self.stop:
            given = await self._ask(self.executor.assign(self.api, 1))
            if given is None:
                continue
            process_id = given.payload["processid"]
            if await self._ask(self.executor.close(self.api, process_id, process_id)) is not None:
                self.closed.append(process_id)

    async def _ask(self, asking: Awaitable[Answer]) -> Answer | None:
        """The answer, if it was a yes. Whoever dies may break connections, nothing else."""
        try:
            answer = await asking
        except httpx.TransportError:
            return None
        if answer.status == 200:
            return answer
        if answer.status == 503:
            if not answer.headers.get("retry-after"):
                self.odd.append(f"no retry-after: {answer}")
        elif answer.refusal != NOTHING:
            self.odd.append(str(answer))
        return None

    async def until(self, submits: int) -> None:
        """Wait until so many more submits and one more close were acknowledged."""
        goal, closes = len(self.submitted) + submits, len(self.closed)

        async def reached() -> bool:
            return len(self.submitted) >= goal and len(self.closed) > closes

        await eventually(reached, "the load to go on")

    async def check(self, at: Api) -> None:
        """Everything acknowledged is there."""
        assert not self.odd, self.odd[:3]
        assert len(set(self.submitted)) == len(self.submitted)
        for process_id in self.closed:
            process = await self.tenant.process(at, process_id)
            assert (process["state"], process["out"]) == (2, [process_id])
        for process_id in set(self.submitted) - set(self.closed):
            assert (await self.tenant.process(at, process_id))["state"] in {0, 1, 2}


@contextlib.asynccontextmanager
async def loaded(api: Api) -> AsyncGenerator[Load]:
    """A colony under load."""
    tenant = await found(api, OWNER)
    load = Load(api, tenant, await tenant.executor(api))
    task = asyncio.create_task(load.run())
    try:
        await load.until(5)
        yield load
    finally:
        load.stop = True
        await task


async def test_killed_worker_is_replaced_while_the_others_serve(many: Server, store: Store) -> None:
    workers = many.workers
    assert len(workers) == 3
    async with Api(many.url) as api:
        async with loaded(api) as load:
            for victim in sorted(workers):
                os.kill(victim, signal.SIGKILL)
                many.log.entry("worker_died")
                await load.until(20)
                many.log.entry("worker_ready")
        await load.check(api)
    assert len(many.workers) == 3
    assert not many.workers & workers
    await verified(store.url, load.tenant.name)
    assert many.stop() == 0, many.log.text


@pytest.fixture
def littering(store: Store, tmp_path: Path) -> Generator[Server]:
    """A supervisor of three workers, whose temporary files are in ``tmp_path``."""
    with started(settings_on(store.url, workers=3) | {"TMPDIR": str(tmp_path)}) as server:
        assert names_in(tmp_path)
        yield server


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_workers_end_when_their_supervisor_is_killed_and_clean_up_behind_it(
    littering: Server, tmp_path: Path
) -> None:
    workers = littering.workers
    async with Api(littering.url) as api:
        tenant = await found(api, OWNER)
        poll = asyncio.create_task((await tenant.executor(api)).assign(api, 20))
        littering.tell(signal.SIGKILL)

        async def ended() -> bool:
            return not any(usage.runs(pid) for pid in workers)

        await eventually(ended, "the workers to end")
        assert not names_in(tmp_path)
        with contextlib.suppress(httpx.TransportError):
            assert (await poll).refusal == NOTHING
        with pytest.raises(httpx.TransportError):
            await api.get("/health")


async def held_polls(api: Api, count: int) -> "list[asyncio.Task[Answer]]":
    """So many long polls, when the server says that it holds them: it does so for no others."""
    tenant = await found(api, OWNER)
    executors = [await tenant.executor(api) for _ in range(count)]
    polls = [asyncio.create_task(executor.assign(api, 600)) for executor in executors]

    async def held() -> bool:
        return (await scraped(api))["colonies_long_polls",] == count

    await eventually(held, "waiting executors")
    return polls


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stop_sends_waiting_executors_home(alone: Server, number: signal.Signals) -> None:
    async with Api(alone.url) as api:
        polls = await held_polls(api, 5)

        alone.tell(number)

        # Who is still there when the time to stop is over is cut off.
        assert [(await poll).refusal for poll in polls] == [NOTHING] * 5
    assert alone.ended() == 0, alone.log.text
    assert "Traceback" not in alone.log.text, alone.log.text
    assert "Error" not in alone.log.text, alone.log.text


async def test_stop_of_a_supervisor_sends_waiting_executors_home(many: Server) -> None:
    async with Api(many.url) as api:
        polls = await held_polls(api, 8)

        many.tell(signal.SIGTERM)

        assert [(await poll).refusal for poll in polls] == [NOTHING] * 8
    assert many.ended() == 0, many.log.text
    assert "Traceback" not in many.log.text, many.log.text


@pytest.mark.parametrize(("workers", "after_s"), [(1, 0.3), (3, 0.0), (3, 0.4), (3, 0.8), (3, 1.2)])
def test_stop_during_the_start_ends_everything(valkey: str, workers: int, after_s: float) -> None:
    with launched(settings_on(valkey, workers=workers)) as server:
        with pytest.raises(AssertionError):
            server.log.until(lambda _: False, after_s)
        server.tell(signal.SIGTERM)

        code = server.ended()

        assert code in {0, -signal.SIGTERM}, server.log.text
        assert "Traceback" not in server.log.text, server.log.text


async def test_stop_while_a_worker_is_replaced_ends_everything(many: Server) -> None:
    for victim in many.workers:
        os.kill(victim, signal.SIGKILL)
    for _ in range(3):
        many.log.entry("worker_died")

    many.tell(signal.SIGTERM)

    assert many.ended() == 0, many.log.text


async def test_killed_store_loses_nothing_and_service_resumes(alone: Server, store: Store) -> None:
    with started(settings_on(store.url)) as second:
        async with Api(alone.url) as api, Api(second.url) as other:
            async with loaded(api) as load:
                for _ in range(2):
                    store.kill()
                    refused = await _refused(api, load.tenant)
                    assert refused.status == 503
                    assert refused.headers["retry-after"]
                    assert (await api.get("/health")).status_code == 503
                    store.start()
                    await load.until(20)
            await load.check(api)
            await load.check(other)
        await verified(store.url, load.tenant.name)
        assert second.stop() == 0, second.log.text
    assert alone.stop() == 0, alone.log.text
    assert "Traceback" not in alone.log.text, alone.log.text


async def _refused(api: Api, tenant: Tenant) -> Answer:
    """The first refusal of a submit."""

    async def submit() -> Answer | None:
        answer = await api.ask(tenant.user, "submitfuncspecmsg", spec=tenant.spec())
        return answer if answer.status != 200 else None

    return await eventually(submit, "the store to be missed")


async def test_executors_that_waited_while_the_store_was_killed_are_woken(
    alone: Server, store: Store
) -> None:
    """Two colonies, so that more than one channel has to be heard again."""
    with started(settings_on(store.url)) as second:
        ear = Ear(store.url)
        async with Api(alone.url) as api, Api(second.url) as other:
            tenants = [await found(api, OWNER) for _ in range(3)]
            executors = [await tenant.executor(api) for tenant in tenants]
            polls = [await waiting(api, ear, executor, 30) for executor in executors]
            store.kill()
            alone.log.entry("store_lost")
            store.start()

            async def back() -> bool:
                return (await other.get("/health")).status_code == 200

            await eventually(back, "the service to resume")

            async def heard() -> bool:
                return all([await ear.listeners(t.name) == 1 for t in tenants])

            await eventually(heard, "the server to listen again")
            for number, tenant in enumerate(tenants):
                submitted = await tenant.submit(other)
                given = await polls[number]
                if given.status == 503:
                    # It heard before it could ask again; it is told to come back, and does.
                    assert given.headers["retry-after"]
                    given = await executors[number].assign(api, 30)
                assert given.ok["processid"] == submitted
        await ear.close()


async def test_whole_server_starts_again_on_its_data(store: Store) -> None:
    with started(settings_on(store.url)) as server:
        async with Api(server.url) as api, loaded(api) as load:
            server.kill()
    store.kill()
    store.start()
    with started(settings_on(store.url)) as server:
        async with Api(server.url) as api:
            await load.check(api)
            await verified(store.url, load.tenant.name)
            fresh = await load.tenant.submit(api)
            assert (await load.tenant.process(api, fresh))["state"] == 0
        assert server.stop() == 0, server.log.text


async def test_lines_and_channel_entries_outlive_server_and_store(store: Store) -> None:
    said = [f"line {number}" for number in range(20)]
    with started(settings_on(store.url)) as server:
        async with Api(server.url) as api:
            tenant = await found(api, OWNER)
            worker = await tenant.executor(api)
            process = await tenant.submit(api, channels=["chat"])
            (await worker.assign(api)).ok  # noqa: B018 - asserts
            for number, text in enumerate(said):
                entry = {"processid": process, "name": "chat", "sequence": number}
                payload = base64.b64encode(text.encode()).decode()
                answers = (
                    await api.ask(tenant.user, "channelappendmsg", **entry, payload=payload),
                    await api.ask(worker.identity, "addlogmsg", processid=process, message=text),
                )
                assert [answer.ok for answer in answers] == [{}, {}]
            server.tell(signal.SIGKILL)
            store.kill()
    store.start()
    with started(settings_on(store.url)) as server:
        async with Api(server.url) as api:
            asked = {"processid": process, "name": "chat", "afterseq": 0, "limit": 0}
            entries = (await api.ask(tenant.user, "channelreadmsg", **asked)).ok
            assert [base64.b64decode(entry["payload"]).decode() for entry in entries] == said
            lines = await tenant.see(api, "getlogsmsg", processid=process, count=100)
            assert [line["message"] for line in lines] == said
    await verified(store.url, tenant.name)
