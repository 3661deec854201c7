"""What is read of JSON that others wrote."""

from cli.given import given_json


def test_a_number_of_thousands_of_digits_is_kept_as_text() -> None:
    digits = "9" * 5_000
    assert given_json(f'{{"a": [{digits}, 1, 0.5]}}') == {"a": [digits, 1, 0.5]}
