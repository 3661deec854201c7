"""``colonies fs key``: the key that files are encrypted with, kept where no server sees it."""

import os
from typing import Annotated

from cyclopts import App, Parameter

from cli.errors import UsageError
from cli.fs.crypt import ColonyKey
from cli.fs.opened import colony_key
from cli.options import NONE, Options
from cli.output import Output
from cli.profile import ProfileStore
from cli.session import settle

app = App(name="key", help="Manage the key that files are encrypted with.", help_format="plaintext")


@app.command
def generate(
    *,
    force: Annotated[bool, Parameter(negative="")] = False,
    options: Options = NONE,
) -> None:
    """Make a key and keep it in the profile that is in use.

    Whoever is to read the files needs it, too: `colonies fs key show`. Files that were encrypted
    with it cannot be read without it, by anybody.

    Args:
        force: replace the key that is there.
        options: global options.
    """
    config = settle(options)
    if not config.profile:
        raise UsageError(
            "no profile is in use to keep the key in",
            hint="`colonies config set NAME` makes one; or export COLONIES_FS_KEY, 64 hex digits",
        )
    if config.get("fs_key") and not force:
        raise UsageError(
            f"there is a key already ({config.values['fs_key'].source})",
            hint="files that were encrypted with it need it; --force replaces it all the same",
        )
    store = ProfileStore(os.environ)
    kept = store.read().profiles[config.profile]
    store.set(config.profile, {**kept, "fs_key": ColonyKey.fresh().hex()})
    Output.of(options, os.environ).done("Key generated", ids="", Profile=config.profile)


@app.command
def show(*, options: Options = NONE) -> None:
    """Print the key, to carry it to another machine.

    Args:
        options: global options.
    """
    key = colony_key(settle(options), needed=True)
    assert key is not None, "needed"  # noqa: S101 - a mistake of ours
    Output.of(options, os.environ).write(f"{key.hex()}\n")
