"""``colonies config``: what is configured and by whom, and the profiles it may come from."""

import os
import shlex
from dataclasses import dataclass
from typing import Annotated

from cyclopts import App, Parameter

from broker.errors import Malformed
from broker.identity import Identity
from cli import render
from cli.config import FIELDS, Config, Value, resolve
from cli.errors import UsageError
from cli.options import NONE, Options
from cli.output import Output
from cli.profile import Profiles, ProfileStore, check_known
from cli.session import key_text, settle

app = App(
    name="config", help="Show the configuration and manage profiles.", help_format="plaintext"
)

_VARIABLES = {
    "host": ("COLONIES_SERVER_HOST",),
    "port": ("COLONIES_SERVER_PORT",),
    "tls": ("COLONIES_TLS", "COLONIES_SERVER_TLS"),
    "colony": ("COLONIES_COLONY_NAME",),
    "colony_prvkey": ("COLONIES_COLONY_PRVKEY",),
    "server_prvkey": ("COLONIES_SERVER_PRVKEY",),
    "executor_name": ("COLONIES_EXECUTOR_NAME",),
    "executor_type": ("COLONIES_EXECUTOR_TYPE",),
    "prvkey": ("COLONIES_PRVKEY",),
    "s3_endpoint": ("AWS_S3_ENDPOINT",),
    "s3_accesskey": ("AWS_S3_ACCESSKEY",),
    "s3_secretkey": ("AWS_S3_SECRETKEY",),
    "s3_region": ("AWS_S3_REGION", "AWS_S3_REGION_KEY"),
    "s3_bucket": ("AWS_S3_BUCKET",),
    "s3_tls": ("AWS_S3_TLS",),
    "s3_skipverify": ("AWS_S3_SKIPVERIFY",),
    "fs_key": ("COLONIES_FS_KEY",),
}
_MASK = "*" * 33


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The object store of a profile; a secret may be `-` or `@FILE`, as a private key may."""

    s3endpoint: str | None = None
    """host:port of the object store."""

    s3accesskey: str | None = None
    """Access key of the object store; @FILE or - reads it."""

    s3secretkey: str | None = None
    """Secret key of the object store; @FILE or - reads it."""

    s3region: str | None = None
    """Region of the object store."""

    s3bucket: str | None = None
    """Bucket in which files are kept."""

    s3tls: bool | None = None
    """Whether the object store is spoken to over TLS."""

    s3skipverify: bool | None = None
    """Whether any certificate of the object store will do."""

    fskey: str | None = None
    """Key of the colony that encrypts files, 64 hex digits; @FILE or - reads it."""

    def values(self) -> dict[str, str | None]:
        """By name of the setting; None where nothing was given."""
        return {
            "s3_endpoint": self.s3endpoint,
            "s3_accesskey": key_text(self.s3accesskey),
            "s3_secretkey": key_text(self.s3secretkey),
            "s3_region": self.s3region,
            "s3_bucket": self.s3bucket,
            "s3_tls": _switch(self.s3tls),
            "s3_skipverify": _switch(self.s3skipverify),
            "fs_key": key_text(self.fskey),
        }


NO_STORAGE = Storage()


def _switch(given: bool | None) -> str | None:  # noqa: FBT001 - the value of an option
    return None if given is None else str(given).lower()


@app.default
def current(*, options: Options = NONE) -> None:
    """Show the configuration that commands use; with -v every value and its source."""
    output = Output.of(options, os.environ)
    config = settle(options)
    block = render.Block(caption="Current configurations", rows=_summary(config))
    if output.verbose:
        rows = [(name, _shown(name, value), value.source) for name, value in _values(config)]
        block = render.Block(
            caption="Current configurations", header=("NAME", "VALUE", "SOURCE"), rows=rows
        )
    output.show(render.Detail(blocks=(block,), data=_data(config)))


@app.command
def show(name: str = "", *, options: Options = NONE) -> None:
    """Show one profile, or every value in use and where it comes from.

    Args:
        name: a profile; without it what is in use.
        options: global options.
    """
    output = Output.of(options, os.environ)
    if not name:
        config = settle(options)
        rows = [(key, _shown(key, value), value.source) for key, value in _values(config)]
        block = render.Block(header=("NAME", "VALUE", "SOURCE"), rows=rows)
        output.show(render.Detail(blocks=(block,), data=_data(config)))
        return
    profiles = ProfileStore(os.environ).read()
    check_known(profiles, name)
    shown = {
        key: _shown(key, Value(text, "")) for key, text in sorted(profiles.profiles[name].items())
    }
    block = render.Block(caption=name, rows=list(shown.items()))
    output.show(render.Detail(blocks=(block,), data={"profile": name, "values": shown}))


@app.command
def ls(*, options: Options = NONE) -> None:
    """List the profiles; the current one is marked."""
    output = Output.of(options, os.environ)
    profiles = ProfileStore(os.environ).read()
    named = sorted(profiles.profiles.items())
    rows = [
        (
            "*" if name == profiles.current else "",
            name,
            f"{values.get('host', '')}:{values.get('port', '')}",
            values.get("colony", ""),
        )
        for name, values in named
    ]
    data = [
        {
            "name": name,
            "current": name == profiles.current,
            "host": values.get("host", ""),
            "port": values.get("port", ""),
            "colony": values.get("colony", ""),
        }
        for name, values in named
    ]
    output.show(
        render.Listing(
            header=("CURRENT", "NAME", "SERVER", "COLONY"),
            rows=rows,
            nothing="No profiles found",
            data=data,
            ids=[name for name, _ in named],
        )
    )


@app.command
def use(name: str, *, options: Options = NONE) -> None:
    """Make a profile the one that commands use.

    Args:
        name: the profile.
        options: global options.
    """
    ProfileStore(os.environ).use(name)
    Output.of(options, os.environ).done("Profile in use", ids=name, Profile=name)


@app.command(name="set")
def set_values(
    name: str,
    *,
    executorname: str | None = None,
    executortype: str | None = None,
    storage: Storage = NO_STORAGE,
    options: Options = NONE,
) -> None:
    """Create or change a profile with the values given as global options.

    A private key may be `-` or `@FILE`: it is then read from standard input or a file, and stays
    out of the list of processes and of the history of the shell.

    Args:
        name: the profile.
        executorname: name of this executor.
        executortype: type of this executor.
        storage: where files are kept.
        options: global options; what is not given is kept.
    """
    if options.port:
        _ = resolve({"port": options.port}, {}, Profiles()).address  # refuses what is no port
    store = ProfileStore(os.environ)
    given = {
        "host": options.host,
        "port": options.port,
        "tls": None if options.insecure is None else str(not options.insecure).lower(),
        "colony": options.colony,
        "prvkey": _key(options.prvkey),
        "colony_prvkey": _key(options.colonyprvkey),
        "server_prvkey": _key(options.serverprvkey),
        "executor_name": executorname,
        "executor_type": executortype,
        **storage.values(),
    }
    kept = store.read().profiles.get(name, {})
    store.set(name, {**kept, **{key: value for key, value in given.items() if value is not None}})
    Output.of(options, os.environ).done("Profile saved", ids=name, Profile=name)


@app.command
def remove(name: str, *, options: Options = NONE) -> None:
    """Forget a profile and the keys in it.

    Args:
        name: the profile.
        options: global options.
    """
    output = Output.of(options, os.environ)
    store = ProfileStore(os.environ)
    check_known(store.read(), name)
    output.confirm(f"Are you sure you want to remove profile <{name}> and its private keys?")
    store.remove(name)
    output.done("Profile removed", ids=name, Profile=name)


@app.command
def export(
    *,
    executor: Annotated[bool, Parameter(negative="")] = False,
    options: Options = NONE,
) -> None:
    """Print the configuration as `export` lines for a shell: eval "$(colonies config export)".

    Args:
        executor: COLONIES_PRVKEY is the key of the executor instead of the user's.
        options: global options.
    """
    config = settle(options)
    key = config.values.get("executor_prvkey") if executor else None
    values = {**config.values, "tls": Value(str(config.tls).lower(), "")}
    if key is not None:
        values["prvkey"] = key
    Output.of(options, os.environ).write(exports({k: v.text for k, v in values.items()}))


def exports(values: dict[str, str]) -> str:
    """Lines of a shell that set the variables of a client."""
    return "".join(
        f"export {variable}={shlex.quote(values[name])}\n"
        for name, variables in _VARIABLES.items()
        if name in values
        for variable in variables
    )


def _summary(config: Config) -> list[tuple[str, str]]:
    address = config.address
    return [
        ("Colony", config.get("colony") or "-"),
        ("Server", f"{address.host}:{address.port}"),
        ("TLS", str(config.tls).lower()),
    ]


def _values(config: Config) -> list[tuple[str, Value]]:
    tls = config.values.get("tls") or Value(str(config.tls).lower(), "default")
    known = {**config.values, "tls": tls}
    return [(name, known[name]) for name in FIELDS if name in known]


def _data(config: Config) -> dict[str, object]:
    return {
        "profile": config.profile,
        "values": {
            name: {"value": _shown(name, value), "source": value.source}
            for name, value in _values(config)
        },
    }


def _shown(name: str, value: Value) -> str:
    """A value that may be seen: of a key, the id that follows from it."""
    setting = FIELDS.get(name)
    if setting is not None and setting.hidden:
        return _MASK
    if setting is None or not setting.secret:
        return value.text
    try:
        return f"key of {Identity.from_hex(value.text).id}"
    except Malformed as error:
        return f"not a key: {error}"


def _key(text: str | None) -> str | None:
    text = key_text(text)
    if text is None:
        return None
    try:
        return Identity.from_hex(text).prvkey
    except Malformed as error:
        raise UsageError(f"this is no private key: {error}") from error
