"""The options that every command takes, in front of it or behind it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from cyclopts import Group, Parameter

_GLOBAL = Group("Global options", sort_key=90)


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    ID = "id"


@Parameter(name="*", group=_GLOBAL)
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Flags of every command; what is not given comes from the environment or a profile."""

    host: str | None = None
    """Server host."""

    port: Annotated[str | None, Parameter(name=("--port",))] = None
    """Server port."""

    insecure: Annotated[bool | None, Parameter(negative="--tls")] = None
    """Disable TLS and use HTTP."""

    skip_tls_verify: Annotated[bool, Parameter(negative="")] = False
    """Skip TLS certificate verification."""

    colony: Annotated[str | None, Parameter(name=("--colony", "--colonyname"))] = None
    """Colony to act on."""

    profile: str | None = None
    """Profile to use, see `colonies config`."""

    prvkey: str | None = None
    """Private key of a user or an executor; @FILE or - reads it."""

    colonyprvkey: str | None = None
    """Private key of the colony owner; @FILE or - reads it."""

    serverprvkey: str | None = None
    """Private key of the server owner; @FILE or - reads it."""

    output: Annotated[Format | None, Parameter(name=("--output", "-o"))] = None
    """Output format."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Print JSON, the same as -o json."""

    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative="")] = False
    """Do not ask before removing something."""

    timeout: Annotated[float | None, Parameter(name=("--request-timeout",))] = None
    """Seconds to wait for an answer."""

    verbose: Annotated[bool | None, Parameter(name=("--verbose", "-v"), negative="")] = None
    """Say more."""

    @property
    def format(self) -> Format:
        """The output format that was asked for."""
        return self.output or (Format.JSON if self.json else Format.TABLE)


NONE = Options()


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The options of every list that a server is asked for."""

    watch: Annotated[bool, Parameter(negative="")] = False
    """Show the list again and again until Ctrl-C."""

    interval: float = 2.0
    """Seconds between two lists; with --watch (2)."""


ONCE = Watch()
