"""Labels: the directory-like names under which files are kept.

A label is compared as it is written; nothing is normalised. Its *tree* is itself and everything
below ``label + "/"``; the tree of "" is everything.
"""

from broker.errors import Invalid

MOST_CHARACTERS = 4_096
MOST_LEVELS = 256
_NO_UTF8 = b"\xff"

Range = tuple[bytes, bytes]
"""Bounds as ZRANGEBYLEX takes them."""


def checked_label(label: str, what: str) -> str:
    """A label that can be stored, listed, and looked for in snapshots.

    Raises:
        Invalid: too long, too deep, or with a NUL.
    """
    if len(label) > MOST_CHARACTERS:
        raise Invalid(f"{what} is longer than {MOST_CHARACTERS} characters")
    if label.count("/") > MOST_LEVELS:
        raise Invalid(f"{what} has more than {MOST_LEVELS} levels")
    if "\0" in label:
        raise Invalid(f"{what} has a NUL character")
    return label


def trees_with(label: str) -> list[str]:
    """The labels in whose tree a label is: itself, those above it, and ""."""
    above = [label[:at] for at, character in enumerate(label) if character == "/"]
    return list(dict.fromkeys(("", *above, label)))


def beginning(name: str) -> list[Range]:
    """Where labels that begin with a text stand."""
    return [_from(name)]


def tree(label: str) -> list[Range]:
    """Where the tree of a label stands, in order."""
    if not label:
        return [_from("")]
    return [(b"[" + label.encode(), b"[" + label.encode()), _from(label + "/")]


def _from(text: str) -> Range:
    return (b"[" + text.encode(), b"(" + text.encode() + _NO_UTF8)
