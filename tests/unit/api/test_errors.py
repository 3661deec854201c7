"""Every refusal has a status."""

import re
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from api.errors import STATUS, status_of, told
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


def test_refusal_is_told_and_not_logged() -> None:
    with capture_logs() as said:
        assert told(errors.Denied("no")) == (403, "no")
    assert not said


@pytest.mark.parametrize("error", [ValueError("a row"), errors.Corrupt("a row")], ids=repr)
def test_bug_and_damaged_data_are_logged_and_not_told(error: Exception) -> None:
    with capture_logs() as said:
        assert told(error) == (500, "internal error; the server's log says more")
    assert [(line["event"], line["exc_info"]) for line in said] == [("bug", error)]
