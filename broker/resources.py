"""Resource texts of conditions and executors (core.md, section 5.1)."""

import re

from broker.errors import Invalid

MEBI = 1024 * 1024
_UNITS = {
    "Ki": 1024,
    "KiB": 1024,
    "Mi": 1024**2,
    "MiB": 1024**2,
    "Gi": 1024**3,
    "GiB": 1024**3,
    "Ti": 1024**4,
    "TiB": 1024**4,
    "Pi": 1024**5,
    "PiB": 1024**5,
    "K": 1000,
    "KB": 1000,
    "Kb": 1000,
    "M": 1000**2,
    "MB": 1000**2,
    "Mb": 1000**2,
    "G": 1000**3,
    "GB": 1000**3,
    "Gb": 1000**3,
    "T": 1000**4,
    "TB": 1000**4,
    "Tb": 1000**4,
}
_AMOUNT = re.compile(r"([+-]?[0-9]+)([A-Za-z]+)\Z")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}\Z")
_LARGEST = 2**63 - 1
_MOST_CHARACTERS = len(f"-{_LARGEST}")


def millicores(text: str) -> int:
    """CPU as millicores: ``1000m``. Text without a trailing ``m`` means 0, as in the reference.

    Raises:
        Invalid: no whole number before the ``m``.
    """
    if not text.endswith("m"):
        return 0
    if not _INTEGER.match(text[:-1]) or abs(int(text[:-1])) > _LARGEST:
        raise Invalid("Error converting CPU to int")
    return int(text[:-1])


def in_bytes(text: str) -> int:
    """Memory or storage as bytes: ``16Gi``, ``500MB``. The empty text means 0.

    Raises:
        Invalid: no unit, an unknown one, a fraction, a space; more bytes than 63 bits count.
    """
    if not text:
        return 0
    match = _AMOUNT.match(text)
    unit = _UNITS.get(match[2]) if match else None
    if match is None or unit is None:
        raise _unreadable(text, "invalid syntax")
    amount = int(match[1]) * unit if len(match[1]) <= _MOST_CHARACTERS else None
    if amount is None or abs(amount) > _LARGEST:
        raise _unreadable(text, "value out of range")
    return amount


def _unreadable(text: str, why: str) -> Invalid:
    return Invalid(
        f'error converting memory to int: strconv.ParseInt: parsing "{_rest(text)}": {why}'
    )


def shown_millicores(amount: int) -> str:
    """CPU as replies show it."""
    return f"{amount}m"


def shown_mebibytes(amount: int) -> str:
    """Memory as replies show it: whole MiB, rounded towards zero."""
    whole = abs(amount) // MEBI
    return f"{-whole if amount < 0 else whole}Mi"


def _rest(text: str) -> str:
    """What is left to read as a number, where the reference's message would show it."""
    unit = next((u for u in sorted(_UNITS, key=len, reverse=True) if text.endswith(u)), "")
    return text.removesuffix(unit)
