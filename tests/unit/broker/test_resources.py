"""Resource texts: core.md, section 5.1."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Invalid
from broker.resources import in_bytes, millicores, shown_mebibytes, shown_millicores

LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("text", "amount"),
    [("", 0), ("2", 0), ("abc", 0), ("0m", 0), ("1000m", 1000), ("-1m", -1), ("+5m", 5)],
)
def test_cpu_is_read_as_millicores(text: str, amount: int) -> None:
    assert millicores(text) == amount


@pytest.mark.parametrize(
    "text",
    ["1.5m", "m", "xm", " 1m", "1 m", "1_0m", "\u0661m", f"{LARGEST + 1}m", "9" * 5_000 + "m"],
)
def test_cpu_that_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"^Error converting CPU to int$"):
        millicores(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("", 0),
        ("1Ki", 1024),
        ("1KiB", 1024),
        ("16Gi", 16 * 1024**3),
        ("1TiB", 1024**4),
        ("100Ti", 100 * 1024**4),
        ("1Pi", 1024**5),
        ("1K", 1000),
        ("1KB", 1000),
        ("1Kb", 1000),
        ("500MB", 500 * 1000**2),
        ("1M", 1000**2),
        ("16GB", 16 * 1000**3),
        ("1Tb", 1000**4),
        ("-1Mi", -(1024**2)),
        ("0Mi", 0),
    ],
)
def test_memory_is_read_as_bytes(text: str, amount: int) -> None:
    assert in_bytes(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        *("1024", "1gi", "1GI", "1.5Gi", " 1Gi", "1 Gi", "Gi", "1Gi ", "1GiGi", "1_0Gi"),
        *("1Zi", "\n1Gi", "1Gi\n"),
    ],
)
def test_memory_in_no_known_form_is_refused(text: str) -> None:
    with pytest.raises(
        Invalid, match=r"(?s)^error converting memory to int: strconv.ParseInt: .*invalid syntax$"
    ):
        in_bytes(text)


@pytest.mark.parametrize("text", [f"{LARGEST}Ki", f"-{LARGEST}Ki", "9" * 5_000 + "Gi"])
def test_memory_beyond_what_is_counted_is_not_called_malformed(text: str) -> None:
    with pytest.raises(Invalid, match=r': parsing "-?9[0-9]+": value out of range$'):
        in_bytes(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (millicores, in_bytes):
        with suppress(Invalid):
            assert abs(read(text)) <= LARGEST


@given(st.integers(min_value=-LARGEST, max_value=LARGEST))
def test_what_is_shown_is_read_back(amount: int) -> None:
    assert millicores(shown_millicores(amount)) == amount
    assert abs(in_bytes(shown_mebibytes(amount)) - amount) < 1024**2


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0Mi"), (1024**2 - 1, "0Mi"), (1024**2, "1Mi"), (-(1024**2), "-1Mi")]
)
def test_memory_is_shown_in_whole_mebibytes(amount: int, text: str) -> None:
    assert shown_mebibytes(amount) == text
