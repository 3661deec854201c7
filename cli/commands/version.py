"""``colonies version``: what this program is; asks nobody and needs no configuration."""

import os

from cyclopts import App

from cli import render
from cli.options import NONE, Options
from cli.output import Output
from cli.program import build_time, version

app = App(name="version", help="Show the version.", help_format="plaintext")


@app.default
def show(*, options: Options = NONE) -> None:
    """Show the version of this program."""
    rows = [("CLI version", version()), ("CLI buildtime", build_time() or "-")]
    data = {"version": version(), "buildtime": build_time()}
    output = Output.of(options, os.environ)
    output.show(render.Detail(blocks=(render.Block(rows=rows),), data=data, ids=(version(),)))
