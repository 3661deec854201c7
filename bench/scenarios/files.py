"""How fast directories travel: ``colonies fs sync`` beside ``rclone copy``, to the same gateway."""

import asyncio
import filecmp
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from bench.connection import connections
from bench.errors import WrongAnswer
from bench.plan import Stage
from bench.report import FLOOR, Measurement
from bench.servers import Target
from bench.wire import Colony
from cli import gateway

_SCENARIO = "files"
_SMALL = 4096
_MIB = 1024 * 1024
_SYNC = (sys.executable, "-c", "from cli.app import main; main()", "fs", "sync", "--yes", "--quiet")


async def measure(stage: Stage) -> list[Measurement]:
    """Many small files and a large one, up and down, rclone and ours in turns.

    Raises:
        WrongAnswer: what arrived is not what was sent.
    """
    found = list[Measurement]()
    for target in (one for one in stage.targets if one.name != FLOOR):
        with tempfile.TemporaryDirectory(prefix="bench-files-") as folder:
            colony = Colony.imagine(target.endpoint, _SCENARIO, 0)
            async with connections(target.endpoint, 1) as (connection,):
                await colony.found(connection, target.owner())
            with gateway.running(Path(folder) / "objects") as objects:
                bench = _Bench(target, colony, objects, Path(folder))
                for number in range(stage.plan.file_rounds):
                    found += await bench.round(number, stage)
    return found


@dataclass(frozen=True, slots=True)
class _Bench:
    """A colony, an object store, and a folder for what travels."""

    target: Target
    colony: Colony
    objects: gateway.Gateway
    folder: Path

    async def round(self, number: int, stage: Stage) -> list[Measurement]:
        """Every case once.

        Raises:
            WrongAnswer: what arrived is not what was sent.
        """
        small = _written(self.folder / f"small{number}", stage.plan.files, _SMALL)
        large = _written(self.folder / f"large{number}", 1, stage.plan.large_file_mib * _MIB)
        found: list[Measurement] = []
        for case, source in (("small files", small), ("a large file", large)):
            found += await self._both_ways(number, case, source)
        return found

    async def _both_ways(self, number: int, case: str, source: Path) -> list[Measurement]:
        there, back = source.with_suffix(".rclone"), source.with_suffix(".ours")
        remote = f"gw:{source.name}"
        label = ("-l", source.name, "-d")
        found = [
            await self._timed(FLOOR, f"{case}, up", number, source, ["copy", str(source), remote]),
            await self._timed(
                self.target.name, f"{case}, up", number, source, [*label, str(source)]
            ),
            await self._timed(FLOOR, f"{case}, down", number, source, ["copy", remote, str(there)]),
            await self._timed(
                self.target.name, f"{case}, down", number, source, [*label, str(back)]
            ),
        ]
        names = list(_sizes(source))
        for arrived in (there, back):
            _, wrong, missing = filecmp.cmpfiles(source, arrived, names, shallow=False)
            if wrong or missing:
                raise WrongAnswer(f"{len(wrong) + len(missing)} files did not arrive as they were")
        return found

    async def _timed(
        self, target: str, case: str, number: int, source: Path, arguments: Sequence[str]
    ) -> Measurement:
        command = (
            [gateway.find_program(), "--config", "", *arguments]
            if target == FLOOR
            else [*_SYNC, *arguments]
        )
        began = perf_counter()
        running = await asyncio.create_subprocess_exec(*command, env=self._environ())
        if await running.wait():
            raise WrongAnswer(f"{' '.join(command[:4])} ended with {running.returncode}")
        seconds = perf_counter() - began
        sizes = _sizes(source).values()
        return Measurement(
            scenario=_SCENARIO,
            case=case,
            target=target,
            round=number,
            count=len(sizes),
            seconds=seconds,
            # Of many files, files; of one, MiB.
            rate=(len(sizes) if len(sizes) > 1 else sum(sizes) / _MIB) / seconds,
        )

    def _environ(self) -> Mapping[str, str]:
        keys, endpoint = self.objects.keys, self.target.endpoint
        return {
            **os.environ,
            "COLONIES_HOME": str(self.folder / "home"),
            "COLONIES_SERVER_HOST": endpoint.host,
            "COLONIES_SERVER_PORT": str(endpoint.port),
            "COLONIES_TLS": "false",
            "COLONIES_COLONY_NAME": self.colony.name,
            "COLONIES_PRVKEY": self.colony.user.identity.prvkey,
            "AWS_S3_ENDPOINT": self.objects.endpoint,
            "AWS_S3_ACCESSKEY": keys.access,
            "AWS_S3_SECRETKEY": keys.secret,
            "AWS_S3_BUCKET": gateway.BUCKET,
            "RCLONE_CONFIG_GW_TYPE": "s3",
            "RCLONE_CONFIG_GW_PROVIDER": "Rclone",
            "RCLONE_CONFIG_GW_ENDPOINT": f"http://{self.objects.endpoint}/",
            "RCLONE_CONFIG_GW_ACCESS_KEY_ID": keys.access,
            "RCLONE_CONFIG_GW_SECRET_ACCESS_KEY": keys.secret,
        }


def _sizes(path: Path) -> dict[str, int]:
    """The files of a directory, without the note that a synchronisation leaves."""
    return {each.name: each.stat().st_size for each in path.iterdir() if each.name != ".cfs"}


def _written(path: Path, count: int, size: int) -> Path:
    """A directory of so many files of that size."""
    path.mkdir()
    for number in range(count):
        with (path / f"f{number}").open("wb") as file:
            for start in range(0, size, _MIB):
                file.write(os.urandom(min(_MIB, size - start)))
    return path
