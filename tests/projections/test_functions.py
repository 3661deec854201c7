"""How long processes of a function take: what the fold keeps beside its writes."""

import sys

from msgspec.structs import replace

from projections.functions import FUNCTIONS
from tests.facts import closed


def test_long_name_of_a_function_is_not_kept_when_its_event_is_gone() -> None:
    name = "x" * 100_000
    before = sys.getrefcount(name)
    assert list(FUNCTIONS.fold(replace(closed(), function=name)))
    assert sys.getrefcount(name) == before
