"""Ports for programs that have to be told one."""

import secrets
import socket
from contextlib import ExitStack, suppress

_PORTS = range(10_000, 32_768)
"""Below those that a system gives to whoever takes any: nobody else gets one meanwhile."""


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on at this moment, no two the same."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            probe, port = stack.enter_context(socket.socket()), secrets.choice(_PORTS)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
    return found


def free_port() -> int:
    """A port nobody listens on at this moment."""
    return free_ports(1)[0]
