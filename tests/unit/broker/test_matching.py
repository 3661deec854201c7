"""Who satisfies what, and which requirements are one class."""

import pytest
from hypothesis import given
from msgspec.structs import replace

from broker.matching import Offer, Requirement, class_of, satisfies
from tests.strategies import REQUIREMENTS

OFFER = Offer(
    executor_id="e" * 64, executor_type="cli", name="worker", location="North", cpu=1000, mem=2048
)


@pytest.mark.parametrize(
    "asked",
    [
        Requirement(executor_type="cli"),
        Requirement(executor_type="cli", names=("worker",)),
        Requirement(executor_type="cli", names=("other", "worker")),
        Requirement(executor_type="cli", names=("e" * 64,)),
        Requirement(executor_type="cli", location="north"),
        Requirement(executor_type="cli", cpu=1000, mem=2048),
        Requirement(executor_type="cli", cpu=-1, mem=-1),
    ],
    ids=repr,
)
def test_executor_satisfies(asked: Requirement) -> None:
    assert satisfies(OFFER, asked)


@pytest.mark.parametrize(
    "asked",
    [
        Requirement(executor_type="gpu"),
        Requirement(executor_type="CLI"),
        Requirement(executor_type="gpu", names=("worker",)),
        Requirement(executor_type="cli", names=("other",)),
        Requirement(executor_type="cli", names=("*", "other")),
        Requirement(executor_type="cli", location="south"),
        Requirement(executor_type="cli", cpu=1001),
        Requirement(executor_type="cli", mem=2049),
    ],
    ids=repr,
)
def test_executor_does_not_satisfy(asked: Requirement) -> None:
    assert not satisfies(OFFER, asked)


def test_executor_that_set_no_limit_takes_any_amount() -> None:
    asked = Requirement(executor_type="cli", cpu=2**62, mem=2**62)

    assert satisfies(replace(OFFER, cpu=None, mem=None), asked)


def test_executor_without_a_place_takes_no_work_for_one() -> None:
    assert not satisfies(
        replace(OFFER, location=""), Requirement(executor_type="cli", location="x")
    )


@given(REQUIREMENTS)
def test_requirement_survives_being_stored(requirement: Requirement) -> None:
    assert Requirement.unpack(requirement.pack()) == requirement


@given(REQUIREMENTS, REQUIREMENTS)
def test_equal_requirements_are_one_class(one: Requirement, two: Requirement) -> None:
    assert (one.class_key == two.class_key) == (one == two)


@given(REQUIREMENTS)
def test_class_is_sixteen_hex_digits(requirement: Requirement) -> None:
    assert len(requirement.class_key) == 16
    assert requirement.class_key == class_of(requirement.pack())
    assert set(requirement.class_key) <= set("0123456789abcdef")
