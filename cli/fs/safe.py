"""Labels and names, and what they may be in a directory of ours. Pure.

What the server says is never trusted: a label or a name that could lead out of the target
directory, here or on a machine of another kind, is refused, and files of ours with such names are
not put there in the first place.
"""

import re

from cli.errors import CliError

CONFIG = ".cfs"
_PARTIAL = re.compile(r"\.cfs-[0-9a-f]{16}\.part")
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST = 255


class Unsafe(CliError):
    """A label or a name that cannot be a place in the target directory."""


def normalised(label: str) -> str:
    """A label as the protocol wants it: one slash in front, none at its end."""
    return "/" + label.strip("/")


def below(label: str, relative: tuple[str, ...]) -> str:
    """The label of a directory in the directory of a label."""
    return "/" + "/".join([*filter(None, [label.strip("/")]), *relative])


def is_below(label: str, root: str) -> bool:
    """Whether a label is the root, or leads into it."""
    return label == root or label.startswith(root.rstrip("/") + "/")


def place(label: str, root: str) -> tuple[str, ...]:
    """The directories that lead from the root's directory to a label's.

    Raises:
        Unsafe: one of them is none.
    """
    inner = label.removeprefix(root.rstrip("/")).removeprefix("/")
    parts = tuple(inner.split("/")) if inner else ()
    for part in parts:
        problem = objection(part)
        if problem:
            raise Unsafe(f"label {label!r} is refused: {part!r} {problem}")
    return parts


def checked(name: str) -> str:
    """The name of a file.

    Raises:
        Unsafe: it is more, or less, than a name.
    """
    problem = objection(name) or ("is kept for ourselves" if is_ours(name) else "")
    if problem:
        raise Unsafe(f"file name {name!r} is refused: it {problem}")
    return name


def objection(part: str) -> str:
    """Why this cannot be one name in a directory; empty when it can."""
    if part in {"", ".", ".."}:
        return "is no name"
    if "/" in part or "\\" in part or "\0" in part:
        return "has a character that separates or ends names"
    if _DRIVE.match(part):
        return "begins like the letter of a drive"
    try:
        encoded = part.encode("utf-8")
    except UnicodeEncodeError:
        return "is not UTF-8"
    return "is too long" if len(encoded) > _LONGEST else ""


def is_ours(name: str) -> bool:
    """Whether a file is our note about the directory, or one that is not complete yet."""
    return name == CONFIG or is_partial(name)


def is_partial(name: str) -> bool:
    """Whether this is the name of a file that is not complete yet."""
    return _PARTIAL.fullmatch(name) is not None
