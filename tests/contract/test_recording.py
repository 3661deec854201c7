"""Both spellings of recordings are read, and nothing else is taken for one."""

import json
from pathlib import Path

import pytest

from tests.contract.recording import read_identities, read_recording, recordings_in, server_identity

KEY = "11" * 32


def line(name: str, **fields: object) -> str:
    request = {"payloadtype": "getusersmsg", "payload": {"a": 1.0}, "signer": "x"}
    reply = {"payloadtype": "getusersmsg", "error": False, "payload": None}
    exchange = {"name": name, "request": request, "status": 200, "reply": reply}
    return json.dumps(exchange | fields) + "\n"


def recorded(directory: Path, *lines: str, name: str = "10_some") -> Path:
    file = directory / f"{name}.jsonl"
    file.write_text("".join(lines))
    return file


def test_payload_is_sent_as_it_was_recorded(tmp_path: Path) -> None:
    (read,) = read_recording(recorded(tmp_path, line("a"))).lines

    assert read.request.text() == '{"a": 1.0}'


def test_payload_that_is_no_json_is_sent_verbatim(tmp_path: Path) -> None:
    broken = {"payloadtype": "t", "payload": {"_raw": "{not json"}, "signer": "x"}

    (read,) = read_recording(recorded(tmp_path, line("a", request=broken))).lines

    assert read.request.text() == "{not json"


@pytest.mark.parametrize("key", ["raw", "_rawbody"])
def test_reply_that_is_no_envelope_is_text(tmp_path: Path, key: str) -> None:
    (read,) = read_recording(recorded(tmp_path, line("a", reply={key: ""}))).lines

    assert read.answer().body == ""


def test_line_that_the_recorded_server_did_not_survive_has_no_status(tmp_path: Path) -> None:
    reply = {"_event": "connection dropped"}

    (read,) = read_recording(recorded(tmp_path, line("a", status=None, reply=reply))).lines

    assert (read.refused, read.answer().body) == (True, "connection dropped")


def test_lines_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    file = recorded(tmp_path, line("a"), line("a", seq=2))

    assert [each.name for each in read_recording(file).lines] == ["a", "a#2"]


def test_comments_are_passed_over(tmp_path: Path) -> None:
    file = recorded(tmp_path, '{"name": "_note", "note": "a word"}\n', line("a"))

    assert [each.name for each in read_recording(file).lines] == ["a"]


def test_setup_of_a_directory_comes_first(tmp_path: Path) -> None:
    setup = recorded(tmp_path, line("add colony"), name="00_setup")
    file = recorded(tmp_path, line("a"))

    assert [each.name for each in read_recording(file).lines] == ["add colony", "a"]
    assert [each.name for each in read_recording(setup).lines] == ["add colony"]


def test_line_that_is_no_exchange_is_named(tmp_path: Path) -> None:
    file = recorded(tmp_path, line("a"), '{"transcript": "t", "dir": "in", "frame": "x"}\n')

    with pytest.raises(ValueError, match=r"10_some\.jsonl, line 2"):
        read_recording(file)


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("identities.json", {"identities": {"server": {"prvkey": KEY}}}),
        ("roles.json", {"roles": {"server_owner": {"prvkey": KEY}}}),
    ],
)
def test_identities_are_read(tmp_path: Path, name: str, document: dict[str, object]) -> None:
    (tmp_path / name).write_text(json.dumps(document))

    assert server_identity(read_identities(tmp_path)).prvkey == KEY


def test_directory_without_recordings_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        recordings_in(tmp_path)
