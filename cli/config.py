"""What a client is told, and by whom: explicit flag > environment > profile > default.

Every value keeps its source, so that ``config`` and ``doctor`` can name it and an error about a
key can say where that key came from.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from broker.defaults import DEFAULT_PORT
from broker.errors import Malformed
from broker.identity import Identity
from cli.errors import UsageError
from cli.profile import Profiles, check_known
from cli.transport import Address

_MOST_PORT = 65_535
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})


class Field(Struct, frozen=True, kw_only=True):
    """One setting: its flag and, best first, the variables that set it."""

    flag: str
    variables: tuple[str, ...]
    secret: bool = False
    """Whether it is the private key of an identity."""

    hidden: bool = False
    """Whether it is a secret of another kind, of which nothing may be shown."""

    meaning: str


FIELDS = {
    "host": Field(flag="--host", variables=("COLONIES_SERVER_HOST",), meaning="name of the server"),
    "port": Field(
        flag="--port",
        variables=("COLONIES_SERVER_HTTP_PORT", "COLONIES_SERVER_PORT"),
        meaning="port of the server",
    ),
    "tls": Field(
        flag="--insecure",
        variables=("COLONIES_TLS", "COLONIES_SERVER_TLS"),
        meaning="HTTPS (true) or HTTP (false)",
    ),
    "colony": Field(
        flag="--colony",
        variables=("COLONIES_COLONY_NAME",),
        meaning="name of the colony that commands act on",
    ),
    "prvkey": Field(
        flag="--prvkey",
        variables=("COLONIES_PRVKEY",),
        secret=True,
        meaning="private key of a user or an executor",
    ),
    "executor_prvkey": Field(
        flag="--prvkey",
        variables=(),
        secret=True,
        meaning="private key for what only an executor may do, when it is another than prvkey",
    ),
    "colony_prvkey": Field(
        flag="--colonyprvkey",
        variables=("COLONIES_COLONY_PRVKEY",),
        secret=True,
        meaning="private key of the colony owner",
    ),
    "server_prvkey": Field(
        flag="--serverprvkey",
        variables=("COLONIES_SERVER_PRVKEY",),
        secret=True,
        meaning="private key of the server owner",
    ),
    "executor_name": Field(
        flag="--name", variables=("COLONIES_EXECUTOR_NAME",), meaning="name of this executor"
    ),
    "executor_type": Field(
        flag="--type", variables=("COLONIES_EXECUTOR_TYPE",), meaning="type of this executor"
    ),
    "s3_endpoint": Field(
        flag="", variables=("AWS_S3_ENDPOINT",), meaning="host:port of the object store"
    ),
    "s3_accesskey": Field(
        flag="", variables=("AWS_S3_ACCESSKEY",), hidden=True, meaning="who signs for it"
    ),
    "s3_secretkey": Field(
        flag="", variables=("AWS_S3_SECRETKEY",), hidden=True, meaning="what it is signed with"
    ),
    "s3_region": Field(
        flag="", variables=("AWS_S3_REGION", "AWS_S3_REGION_KEY"), meaning="its region"
    ),
    "s3_bucket": Field(flag="", variables=("AWS_S3_BUCKET",), meaning="where files are kept"),
    "s3_tls": Field(flag="", variables=("AWS_S3_TLS",), meaning="HTTPS (true) or HTTP (false)"),
    "s3_skipverify": Field(
        flag="", variables=("AWS_S3_SKIPVERIFY",), meaning="whether any certificate will do"
    ),
    "fs_key": Field(
        flag="",
        variables=("COLONIES_FS_KEY",),
        hidden=True,
        meaning="key of the colony that encrypts files; no server ever sees it",
    ),
}


class Role(StrEnum):
    """On whose behalf a message is signed."""

    MEMBER = "a user or an executor"
    EXECUTOR = "an executor"
    OWNER = "the colony owner"
    SERVER = "the server owner"


_KEYS = {
    Role.MEMBER: ("prvkey",),
    Role.EXECUTOR: ("executor_prvkey", "prvkey"),
    Role.OWNER: ("colony_prvkey",),
    Role.SERVER: ("server_prvkey",),
}


class Value(Struct, frozen=True):
    """A setting and where it came from."""

    text: str
    source: str
    rank: int = 9  # 0 flag, 1 environment, 2 profile, 9 default


class Config(Struct, frozen=True, kw_only=True):
    """The settings of one command."""

    values: Mapping[str, Value]
    profile: str = ""
    verify_tls: bool = True

    @property
    def address(self) -> Address:
        """Where the server is."""
        return Address(
            host=self.values["host"].text, port=self._port(), tls=self.tls, verify=self.verify_tls
        )

    @property
    def tls(self) -> bool:
        """Whether the server is spoken to over TLS; by default unless it is this machine."""
        value = self.values.get("tls")
        if value is None:
            return self.values["host"].text not in _LOOPBACK
        text = value.text.lower()
        if text not in _TRUE | _FALSE:
            raise UsageError(f"TLS must be true or false, is {value.text!r} ({value.source})")
        return text in _TRUE

    @property
    def colony(self) -> str:
        """The colony commands act on; raises UsageError when there is none."""
        value = self.values.get("colony")
        if value is None:
            raise UsageError(
                "no colony is set",
                hint="export COLONIES_COLONY_NAME, pass --colony NAME, or start `colonies dev`",
            )
        return value.text

    def get(self, name: str) -> str:
        """A setting, or the empty text."""
        value = self.values.get(name)
        return value.text if value else ""

    def identity(self, role: Role) -> Identity:
        """The identity that signs for a role.

        Raises:
            UsageError: its key is not set or is no key; the text never shows it.
        """
        value = self.key(role)
        if value is None:
            setting = FIELDS[_KEYS[role][-1]]
            raise UsageError(
                f"this is signed by {role.value}, and {setting.variables[0]} is not set",
                hint=f"export {setting.variables[0]}, pass {setting.flag}, or choose a profile "
                "that has the key (`colonies config ls`)",
            )
        try:
            return Identity.from_hex(value.text)
        except Malformed as error:
            raise UsageError(
                f"the private key of {role.value} ({value.source}) is no key: {error}",
                hint="`colonies key generate` makes one; it is 64 hex digits",
            ) from error

    def key(self, role: Role) -> Value | None:
        """The key of a role; among several the one said most explicitly, then the special one."""
        found = [self.values[name] for name in _KEYS[role] if name in self.values]
        return min(found, key=lambda value: value.rank, default=None)

    def _port(self) -> int:
        value = self.values["port"]
        text = value.text
        if not (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST_PORT):
            raise UsageError(f"the port must be 1 to {_MOST_PORT}, is {text!r} ({value.source})")
        return int(text)


def resolve(
    flags: Mapping[str, str | None],
    environ: Mapping[str, str],
    profiles: Profiles,
    *,
    profile: str | None = None,
    verify_tls: bool = True,
) -> Config:
    """Settle every setting; ``flags`` are by field name, None where not given.

    Raises:
        UsageError: the profile that was named does not exist.
    """
    name = profile or environ.get("COLONIES_PROFILE", "")
    if name:
        check_known(profiles, name)
    name = name or profiles.current
    stored = profiles.profiles.get(name, {})
    values = {"host": Value("localhost", "default"), "port": Value(str(DEFAULT_PORT), "default")}
    for key, setting in FIELDS.items():
        said = flags.get(key)
        value = (
            Value(said, f"flag {setting.flag}", 0)
            if said
            else _from_environment(setting, environ) or _from_profile(key, stored, name)
        )
        if value:
            values[key] = value
    return Config(values=values, profile=name if stored else "", verify_tls=verify_tls)


def _from_environment(setting: Field, environ: Mapping[str, str]) -> Value | None:
    for variable in setting.variables:
        if environ.get(variable):
            return Value(environ[variable], f"environment {variable}", 1)
    return None


def _from_profile(key: str, stored: Mapping[str, str], profile: str) -> Value | None:
    return Value(stored[key], f"profile {profile}", 2) if stored.get(key) else None
