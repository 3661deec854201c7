"""Our server answers as the reference server did, but for the differences we list.

Every recording is replayed on a server and a store of its own. What may differ is listed with its
reason in docs/compatibility.md; a difference that is no longer one fails here too.
"""

from pathlib import Path

import httpx
import pytest

from broker.settings import Settings
from tests.contract.conftest import recordings_directories
from tests.contract.differences import read_differences, unknown_lines
from tests.contract.happening import changes_of
from tests.contract.recording import (
    Recording,
    read_identities,
    read_recording,
    recordings_in,
    server_identity,
)
from tests.contract.replay import Replay
from tests.contract.server import running_server

# Longer than any poll in a recording waits.
TIMEOUT_S = 60


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each recording."""
    if "recording" in metafunc.fixturenames:
        files = _files(metafunc.config)
        metafunc.parametrize("recording", files, ids=[file.stem for file in files])


def _files(config: pytest.Config) -> list[Path]:
    return [file for each in recordings_directories(config) for file in recordings_in(each)]


@pytest.mark.real
async def test_server_answers_as_recorded(recording: Path, redis_url: str) -> None:
    recorded = read_recording(recording)
    identities = read_identities(recording.parent)
    own = {
        "COLONIES_REDIS_URL": redis_url,
        "COLONIES_SERVER_ID": server_identity(identities).id,
        "COLONIES_SERVER_PORT": "0",
    }
    environment = Settings.from_env(own | recorded.environment).to_env()

    async with (
        running_server(environment) as url,
        httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client,
        changes_of(redis_url) as happening,
    ):
        problems = await Replay(
            client=client,
            identities=identities,
            recording=recorded,
            differences=read_differences(),
            happening=happening,
        ).run()

    if problems:
        pytest.fail(_report(recorded, list(map(str, problems))), pytrace=False)


def _report(recorded: Recording, problems: list[str]) -> str:
    head = f"{len(problems)} of {len(recorded.lines)} lines of {recorded.name} differ"
    return "\n\n".join([head, *problems])


def test_listed_differences_name_recorded_lines(pytestconfig: pytest.Config) -> None:
    recorded = {file.stem: read_recording(file).lines for file in _files(pytestconfig)}

    assert unknown_lines(read_differences(), recorded) == []
