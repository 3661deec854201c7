"""Ids as people type them: the beginning is enough, also as a narrow table shows it."""

from collections.abc import Iterable

from cli.errors import UsageError

_SHORTEST, _LENGTH, _HEX = 4, 64, frozenset("0123456789abcdef")


def beginning(typed: str) -> str:
    """What was typed, without the mark of a shortened id."""
    return typed.removesuffix("…")


def is_short(typed: str) -> bool:
    """Whether this can be the beginning of an id, and not a whole one."""
    return _SHORTEST <= len(typed) < _LENGTH and set(typed) <= _HEX


def is_whole(typed: str) -> bool:
    """Whether this is an id, and no beginning of one and no name."""
    return len(typed) == _LENGTH and set(typed) <= _HEX


def completed(typed: str, known: Iterable[str], things: str) -> str:
    """The known id that begins as typed; what is no beginning of one stays as it is.

    Raises:
        UsageError: several ids begin so.
    """
    found = {identity for identity in known if identity.startswith(typed)}
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} {things} have an id that begins with {typed}", hint="type more of it"
        )
    return found.pop() if found else typed


def called(typed: str, known: Iterable[tuple[str, str]], things: str) -> str:
    """The id, out of pairs of id and name, that has this name or begins so; else what was typed.

    Raises:
        UsageError: several ids begin so.
    """
    pairs = list(known)
    named = [identity for identity, name in pairs if name == typed]
    if named or not is_short(typed):
        return named[0] if named else typed
    return completed(typed, [identity for identity, _ in pairs], things)
