"""JSON of other servers, too: what Python cannot hold of it is kept as text."""

import json


def given_json(text: str | bytes) -> object:
    """The value of a JSON text."""
    return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:  # it reads no number of thousands of digits
        return digits
