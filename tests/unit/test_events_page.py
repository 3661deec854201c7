"""The page about events says what the registry says."""

from pathlib import Path

from broker.catalogue import render

_PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_page_about_events_is_what_the_registry_generates() -> None:
    assert _PAGE.read_text("utf-8") == render(), "run: python -m broker.catalogue > docs/events.md"
