"""A stored run says what it was measured on."""

from importlib.metadata import version

from bench import machine
from cli.store_program import find_program


def test_store_and_packages_are_told_apart() -> None:
    store = machine.store_version(find_program())
    described = machine.describe(store)
    assert "server v=" in store
    versions = described["versions"]
    assert isinstance(versions, dict)
    assert versions["store"] == store
    assert versions["redis"] == version("redis")
