"""Redis Cluster behind the one method of a Link: each command goes to the primary of its slot.

A colony is one hash tag and so one slot; no script touches two (docs/adr/0016). What is known of
the cluster comes from CLUSTER SLOTS, asked again when a node sends us elsewhere or is lost, until
every slot has a node that answers. Each primary has a Pipeline of its own, so the loss of one is
noticed by its colonies and by nobody else.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from redis.crc import key_slot

from broker import keys
from broker.errors import Overloaded, Unavailable
from broker.keys import SERVER
from broker.pipeline import TOO_MANY, Pipeline, Reply, ReplyError
from broker.places import CLUSTER, addresses_in

_log = structlog.get_logger(__name__)
_SLOTS = 16_384
_TURNS = 3
_LEARN_S = 0.1
_POLL_S = 0.05
_REPLICAS_MS = 1_000
_PATIENCE_S = 10.0
BLOCK_MS = 1_000
_BLOCKS = 5
_WITH_WAIT = 2
"""Commands that are under way for a write."""
_SCRIPTS = {"EVALSHA", "EVAL"}
_numbers = itertools.count(1)
_readers: dict[int, asyncio.Event] = {}
"""Who reads streams now, by what CLIENT ID answered it; set to make the read return."""


class Cluster:
    """The primaries of a cluster; used as a Pipeline is."""

    def __init__(
        self,
        url: str,
        max_in_flight: int,
        *,
        on_connected: Callable[[], None] | None = None,
        patience_s: float = 0.0,
        replicas: int = 0,
    ) -> None:
        """A write counts when so many ``replicas`` have it, too."""
        self._begin, self._seeds = addresses_in(url)
        self._max_in_flight = max_in_flight
        self._on_connected = on_connected
        self._patience_s = patience_s
        self._replicas = replicas
        self._nodes: dict[str, Pipeline] = {}
        self._slots: list[str] = [""] * _SLOTS
        self._learning: asyncio.Task[None] | None = None
        self._number = next(_numbers)
        self._closed = False

    async def start(self) -> None:
        """Find all primaries.

        Raises:
            Unavailable: none of the addresses answers, or some slot has no primary. No connection
                is left then.
        """
        await self._learn()
        if not self._is_whole():
            await self.close()
            raise Unavailable("the cluster does not serve all slots")

    async def close(self) -> None:
        """End for good."""
        self._closed = True
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)
        for node in self._nodes.values():
            await node.close()

    # ------------------------------------------------------------ commands

    def call(self, *args: Any) -> asyncio.Future[Reply]:  # noqa: ANN401 - what Redis takes
        """Send one command to where its key is; what has no key goes to the server's own shard.

        Raises, when it is awaited:
            Unavailable: the primary of the colony is away, or too few replicas took a write.
            Overloaded: as many commands as allowed are under way to it.
        """
        work = {"XREAD": self._read, "CLIENT": self._client, "CONFIG": self._everywhere}
        routed = work[args[0]](args) if args[0] in work else self._routed(slot_of(args), args)
        return asyncio.ensure_future(routed)

    async def _routed(self, slot: int, args: Sequence[Any]) -> Reply:
        for _ in range(_TURNS):
            node = self._nodes.get(self._slots[slot])
            if node is None:
                self._learn_soon()
                raise Unavailable("the shard of this colony cannot be reached")
            try:
                return await self._say(node, args)
            except Unavailable:
                self._learn_soon()
                raise
            except ReplyError as error:
                kind = str(error).partition(" ")[0]
                if kind == "CLUSTERDOWN":
                    self._learn_soon()
                if kind not in {"MOVED", "ASK"}:
                    raise
            await self._learn()
        raise Unavailable("the slot of this colony is being moved, try again")

    async def _say(self, node: Pipeline, args: Sequence[Any]) -> Reply:
        """A write that replicas must have is followed by the question whether they do."""
        if not self._replicas or args[0] not in _SCRIPTS:
            return await node.call(*args)
        if not node.has_room(_WITH_WAIT):
            # The second one alone would be refused when the first one has taken effect.
            raise Overloaded(TOO_MANY)
        reply, count = node.call(*args), node.call("WAIT", self._replicas, _REPLICAS_MS)
        await asyncio.wait((reply, count))
        if not reply.exception() and _is_repeat(reply.result()):
            # WAIT is about writes of its own connection; what is repeated was another's, maybe.
            mark = str(args[3]).partition("}")[0] + "}:" + keys.nonce("", "replicated")
            last = node.call("SET", mark, "", "PX", _REPLICAS_MS)
            count = node.call("WAIT", self._replicas, _REPLICAS_MS)
            await asyncio.wait((last, count))
        if not reply.exception() and count.result() < self._replicas:
            raise Unavailable(
                f"{count.result()} of {self._replicas} replicas have this; whether it will stay is"
                " unknown, try again"
            )
        return reply.result()

    async def _everywhere(self, args: Sequence[Any]) -> Reply:
        """Settings of all primaries; where they differ, all values."""
        told = [await node.call(*args) for node in self._nodes.values()]
        flat: list[bytes] = list(told[0])
        for at in range(1, len(flat), 2):
            values = {reply[at] for reply in told}
            flat[at] = b" and ".join(sorted(values))
        return flat

    # ------------------------------------------------------------ waiting for streams

    async def _client(self, args: Sequence[Any]) -> Reply:
        """CLIENT ID and CLIENT UNBLOCK, for reads of streams."""
        if args[1] == "ID":
            return self._number
        reading = _readers.get(args[2])
        if reading is not None:
            reading.set()
        return int(reading is not None)

    async def _read(self, args: Sequence[Any]) -> Reply:
        """XREAD of streams that are on several nodes: asked in turns, as none can wait for all.

        A node that is lost keeps nobody waiting for the others; if there is no other, that is said.
        """
        at = args.index("STREAMS") + 1
        options = dict(zip(args[1 : at - 1 : 2], args[2 : at - 1 : 2], strict=True))
        block_ms = options.pop("BLOCK", None)
        head = ("XREAD", *itertools.chain(*options.items()), "STREAMS")
        middle = at + (len(args) - at) // 2
        after = dict(zip(args[at:middle], args[middle:], strict=True))
        for name in [name for name, position in after.items() if position == "$"]:
            after[name] = await self._last(name)
        loop = asyncio.get_running_loop()
        until = loop.time() + block_ms / 1_000 if block_ms else None
        stop = _readers[self._number] = asyncio.Event()
        try:
            while not (found := await self._look(head, after)):
                late = until is not None and loop.time() >= until
                if block_ms is None or late or stop.is_set():
                    return None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _POLL_S)
            return found
        finally:
            del _readers[self._number]

    async def _last(self, name: str) -> str:
        command = ("XREVRANGE", name, "+", "-", "COUNT", 1)
        found = await self._routed(slot_of(command), command)
        return found[0][0].decode() if found else "0-0"

    async def _look(self, head: Sequence[Any], after: dict[str, str]) -> list[Reply]:
        commands = [(*head, name, position) for name, position in after.items()]
        calls = (self._routed(slot, c) for c in commands for slot in [_slot(c[-2])])
        answers = await asyncio.gather(*calls, return_exceptions=True)
        lost = [answer for answer in answers if isinstance(answer, BaseException)]
        if len(lost) == len(answers) or not all(isinstance(e, Unavailable) for e in lost):
            raise lost[0]
        fine = (answer for answer in answers if not isinstance(answer, BaseException))
        return [stream for answer in fine for stream in answer or ()]

    # ------------------------------------------------------------ what the cluster is

    def _is_whole(self) -> bool:
        served = {name for name, node in self._nodes.items() if node.is_connected}
        return set(self._slots) <= served

    def _learn_soon(self) -> None:
        """Ask again until every slot has a primary that answers; one at a time does that."""
        if self._closed or (self._learning is not None and not self._learning.done()):
            return
        self._learning = asyncio.get_running_loop().create_task(self._learn_until_whole())

    async def _learn_until_whole(self) -> None:
        while not self._is_whole():
            try:
                await self._learn()
            except Unavailable as error:
                _log.info("cluster_still_away", error=str(error))
            await asyncio.sleep(_LEARN_S)
        _log.info("cluster_whole", nodes=len(self._nodes))

    async def _learn(self) -> None:
        """Take over what some node says of the cluster.

        Raises:
            Unavailable: nobody answers.
        """
        ranges = await self._ask_somebody("CLUSTER", "SLOTS")
        slots = [""] * _SLOTS
        for first, last, primary, *_ in ranges:
            name = f"{primary[0].decode()}:{primary[1]}"
            slots[first : last + 1] = [name] * (last - first + 1)
        self._slots = slots
        for name in set(self._nodes) - set(slots):
            if (gone := self._nodes.pop(name, None)) is not None:
                await gone.close()
        for name in set(slots) - set(self._nodes) - {""}:
            await self._add(name)

    async def _add(self, name: str) -> None:
        node = Pipeline(
            self._begin + name,
            self._max_in_flight,
            on_connected=self._on_connected,
            patience_s=self._patience_s,
        )
        try:
            await node.start()
        except Unavailable as error:
            _log.info("shard_still_away", node=name, error=str(error))
            await node.close()
            return
        if name in self._nodes:
            await node.close()  # somebody else was faster
        else:
            self._nodes[name] = node

    async def _ask_somebody(self, *args: str) -> Reply:
        for node in [node for node in self._nodes.values() if node.is_connected]:
            with contextlib.suppress(Unavailable, Overloaded, ReplyError):
                return await node.call(*args)
        for seed in self._seeds:
            node = Pipeline(self._begin + seed, self._max_in_flight, patience_s=self._patience_s)
            with contextlib.suppress(Unavailable, Overloaded, ReplyError):
                try:
                    await node.start()
                    return await node.call(*args)
                finally:
                    await node.close()
        raise Unavailable("no node of the cluster can be reached")


def _is_repeat(reply: Reply) -> bool:
    return isinstance(reply, list) and reply[:1] == [b"repeat"]


def slot_of(args: Sequence[Any]) -> int:
    """The slot of a command's first key; of one without a key that of the server's own stream."""
    match args[0]:
        case "EVALSHA" | "EVAL":
            return _slot(args[3])
        case "SCAN":
            return _slot(args[args.index("MATCH") + 1])
        case "PING" | "TIME" | "INFO":
            return _slot(SERVER.prefix)
        case _:
            return _slot(args[1])


def _slot(key: str | bytes) -> int:
    return key_slot(key.encode() if isinstance(key, str) else key)


def way_to(
    url: str,
    max_in_flight: int,
    *,
    on_connected: Callable[[], None] | None = None,
    patience_s: float = 0.0,
    replicas: int = 0,
) -> Pipeline | Cluster:
    """A store by its address: one server, or a cluster.

    No command to a cluster blocks, so there every silent node is given up, sooner or later.
    """
    if CLUSTER not in url:
        return Pipeline(url, max_in_flight, on_connected=on_connected, patience_s=patience_s)
    return Cluster(
        url,
        max_in_flight,
        on_connected=on_connected,
        patience_s=patience_s or _PATIENCE_S,
        replicas=replicas,
    )


def way_to_wait(url: str, max_in_flight: int, patience_s: float) -> Pipeline | Cluster:
    """A store by its address, for reads that block for BLOCK_MS at most.

    One that is silent for much longer is given up: its machine may have died without a word.
    """
    least_s = _BLOCKS * BLOCK_MS / 1_000 if patience_s else 0.0
    return way_to(url, max_in_flight, patience_s=max(patience_s, least_s))
