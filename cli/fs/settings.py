"""Where the bytes of files are kept: the S3 settings of a client."""

import re
from dataclasses import dataclass, field

from cli.config import FIELDS, Config
from cli.errors import UsageError

_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no", ""})
_DEFAULT_REGION = "us-east-1"
_HOST_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:/\s\[\]@]+)(:(?P<port>[0-9]{1,5}))?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MOST_PORT = 65_535
_NEEDED = ("s3_endpoint", "s3_accesskey", "s3_secretkey", "s3_bucket")
_HINT = "export them, keep them in a profile (`colonies config set`), or start `colonies dev --s3`"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """One bucket of one object store, and who we are there."""

    host: str
    port: int
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    bucket: str
    region: str = ""
    tls: bool = False
    verify: bool = True

    @property
    def url(self) -> str:
        """Where requests go."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def signing_region(self) -> str:
        """The region that signatures name; many object stores do not care."""
        return self.region or _DEFAULT_REGION

    @classmethod
    def of(cls, config: Config) -> "S3Settings":
        """The settings of a command.

        Raises:
            UsageError: all that is missing or cannot be right, in one message.
        """
        problems: list[str] = []
        tls = _switch(config, "s3_tls", problems)
        skip = _switch(config, "s3_skipverify", problems)
        missing = [_variable(name) for name in _NEEDED if not config.get(name)]
        if missing:
            problems.append(f"{', '.join(missing)} not set")
        host, port = _endpoint(config.get("s3_endpoint"), tls, problems)
        bucket = config.get("s3_bucket")
        if bucket and not _BUCKET.fullmatch(bucket):
            problems.append(f"AWS_S3_BUCKET {bucket!r} is no name of a bucket")
        if problems:
            raise UsageError("; ".join(problems), hint=_HINT)
        return cls(
            host=host,
            port=port,
            access_key=config.get("s3_accesskey"),
            secret_key=config.get("s3_secretkey"),
            bucket=bucket,
            region=config.get("s3_region"),
            tls=tls,
            verify=not skip,
        )


def _variable(name: str) -> str:
    return FIELDS[name].variables[0]


def _switch(config: Config, name: str, problems: list[str]) -> bool:
    text = config.get(name).lower()
    if text not in _TRUE | _FALSE:
        problems.append(f"{_variable(name)} must be true or false, is {text!r}")
    return text in _TRUE


def _endpoint(text: str, tls: bool, problems: list[str]) -> tuple[str, int]:  # noqa: FBT001 - a setting
    """Host and port of an endpoint; a scheme in front of it is what TLS says anyway."""
    found = _HOST_PORT.fullmatch(text.removeprefix("https://").removeprefix("http://").rstrip("/"))
    if found is None:
        if text:
            problems.append(f"AWS_S3_ENDPOINT must be host:port, is {text!r}")
        return "", 0
    port = int(found["port"] or (443 if tls else 80))
    if not 0 < port <= _MOST_PORT:
        problems.append(f"the port of AWS_S3_ENDPOINT must be 1 to {_MOST_PORT}, is {port}")
    return found["host"], port
