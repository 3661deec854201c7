"""Every refusal has a status."""

import re
from typing import TypeVar

import pytest

from api.errors import STATUS, status_of
from broker import errors

K = TypeVar("K", bound=errors.BrokerError)


def descendants(kind: type[K]) -> list[type[K]]:
    children: list[type[K]] = kind.__subclasses__()
    return [each for child in children for each in (child, *descendants(child))]


def named(kind: type[errors.BrokerError]) -> str:
    return kind.__name__


@pytest.mark.parametrize("kind", descendants(errors.Rejected), ids=named)
def test_every_refusal_has_a_row_of_its_own_and_a_code(kind: type[errors.Rejected]) -> None:
    assert kind in STATUS
    assert "code" in kind.__dict__


@pytest.mark.parametrize("kind", descendants(errors.BrokerError), ids=named)
def test_every_error_has_a_status_of_the_protocol(kind: type[errors.BrokerError]) -> None:
    if kind is not errors.Rejected:
        assert status_of(kind("x")) in {400, 403, 404, 408, 409, 413, 500, 503}


def test_codes_are_unique_words() -> None:
    codes = [kind.code for kind in descendants(errors.Rejected)]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)
