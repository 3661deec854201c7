"""``colonies key``: private keys, offline."""

import os
from pathlib import Path

from cyclopts import App

from broker.identity import Identity
from cli import render
from cli.config import Role
from cli.errors import UsageError
from cli.options import NONE, Options
from cli.output import Output
from cli.session import settle

app = App(name="key", help="Manage private keys.", help_format="plaintext")


@app.command
def generate(*, out: Path | None = None, options: Options = NONE) -> None:
    """Generate a private key and print it with its id.

    Args:
        out: write the key to this new file (mode 0600) and print only the id.
        options: global options.
    """
    output = Output.of(options, os.environ)
    identity = Identity.generate()
    said = {"id": identity.id, "prvkey": identity.prvkey}
    lines = f"Id={identity.id}\nPrvKey={identity.prvkey}\n"
    if out is not None:
        _write_new(out, identity.prvkey)
        said = {"id": identity.id, "prvkeyfile": str(out)}
        lines = f"Id={identity.id}\nPrvKeyFile={out}\n"
    if output.format == "table":
        output.say("Generated new private key")
        output.write(lines)
    else:
        output.show(render.Detail(blocks=(), data=said, ids=(identity.id,)))


@app.command(name="id")
def show_id(*, options: Options = NONE) -> None:
    """Show the id that belongs to a private key: --prvkey, COLONIES_PRVKEY or the profile's."""
    output = Output.of(options, os.environ)
    identity = settle(options).identity(Role.MEMBER)
    if output.format == "table":
        output.say("Corresponding Id for the given private key")
        output.write(f"Id={identity.id}\n")
    else:
        output.show(render.Detail(blocks=(), data={"id": identity.id}, ids=(identity.id,)))


def _write_new(path: Path, prvkey: str) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - of a descriptor
            file.write(prvkey + "\n")
    except FileExistsError as error:
        raise UsageError(
            f"{path} exists already", hint="a key is never overwritten; name another file"
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
