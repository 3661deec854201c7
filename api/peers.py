"""What the kernel knows of the other end of a connection."""

import asyncio
import fcntl
import socket
import termios

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


def notice_dead_peers(transport: asyncio.Transport) -> None:
    """Let the kernel ask clients that are silent, so that a dead one keeps no place in a queue."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def has_unread(transport: asyncio.Transport) -> bool:
    """Whether the client's kernel has not acknowledged all we wrote, or has reset us."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is None:
        return False
    unsent = bytearray(4)
    fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, unsent)
    failed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return bool(failed or any(unsent) or transport.get_write_buffer_size())
