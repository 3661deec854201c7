"""Settings: everything a server can be told, read from the environment once.

Names are the reference's where it has one (core.md, section 9); ours begin with COLONIES_ too.
Every problem is reported in one message. Nothing else in the project reads the environment of a
server, and nothing reads it on import.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from broker.archive_url import ARCHIVE_URL, TIMESCALEDB, archive_url, fault_in
from broker.defaults import DEFAULT_PORT, LOG_RETENTION_S
from broker.errors import Malformed
from broker.identity import is_identity
from broker.places import CLUSTER
from broker.zones import zone_named


class Durability(StrEnum):
    """What an acknowledgement promises: Redis' ``appendfsync``, or nothing at all."""

    ALWAYS = "always"
    EVERYSEC = "everysec"
    NONE = "none"


class Role(StrEnum):
    """What a server process does; any number of processes may do each."""

    API = "api"
    TIMER = "timer"
    PROJECTOR = "projector"
    ARCHIVER = "archiver"


_LEAST_KEEP_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may cost us before they are refused.

    ``max_in_flight`` commands are under way to the store from one process; a store that answers
    none of them for ``store_timeout_ms`` is given up, until it takes a connection. ``max_waiting``
    processes wait in one colony, ``max_workflow_nodes`` belong to one
    workflow. A client has ``header_timeout_ms`` for a request's headers, and again for each
    further 64 KiB of its body. A frame of a websocket may have ``max_frame_bytes``, a socket
    ``max_subscriptions``, and who follows events may be ``max_subscription_backlog`` of them
    behind; a silent event feed says something every ``heartbeat_ms``.
    """

    max_header_bytes: int = 64 * 1024
    max_body_bytes: int = 64 * 1024 * 1024
    max_connections: int = 16_384
    max_in_flight: int = 4_096
    store_timeout_ms: int = 10_000
    max_waiting: int = 1_000_000
    max_workflow_nodes: int = 10_000
    max_log_bytes: int = 64 * 1024
    max_frame_bytes: int = 64 * 1024
    max_subscriptions: int = 100
    max_subscription_backlog: int = 1_000
    heartbeat_ms: int = 15_000
    header_timeout_ms: int = 10_000
    idle_timeout_ms: int = 120_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Paths of the certificate chain and its key, both PEM."""

    cert: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one server; ``from_env`` and ``to_env`` are inverse to each other.

    In a cluster ``replicas`` of a shard must have what is acknowledged.

    A colony's log keeps lines for ``log_retention_s`` seconds, up to ``log_retention_bytes`` bytes
    in all. A finished process or workflow is kept for ``success_retention_s`` seconds and so on,
    by how it ended. 0 is without limit. With ``keep_requests`` the text of each request that led to
    events stands with the first of these. ``metrics_token`` is what GET /metrics asks for; without
    one it answers this machine only. It tells ``metrics_colonies`` colonies apart.

    The archive at ``archive_url`` gets every event and log line, "" is none; ``timescaledb`` says
    whether it has hypertables, None takes what there is. What is archived stays in the streams for
    ``stream_keep_s`` seconds, 0 for ever; the archive keeps lines for ``archive_lines_s`` seconds.
    """

    redis_url: str
    server_id: str
    host: str = "0.0.0.0"  # noqa: S104 - a server that executors anywhere must reach
    port: int = DEFAULT_PORT
    workers: int = 1
    roles: frozenset[Role] = frozenset(Role)
    durability: Durability = Durability.ALWAYS
    replicas: int = 0
    allow_reregister: bool = False
    stale_executor_s: int = 600
    cleanup_interval_s: int = 60
    replay_window_ms: int = 300_000
    keep_requests: bool = False
    log_retention_s: int = LOG_RETENTION_S
    log_retention_bytes: int = 1024**3
    success_retention_s: int = 0
    failed_retention_s: int = 0
    cancelled_retention_s: int = 0
    file_revisions: int = 0
    file_revision_s: int = 0
    archive_url: str = ""
    timescaledb: bool | None = None
    stream_keep_s: int = 0
    archive_lines_s: int = 0
    timezone: str = "UTC"
    cron_checker_ms: int = 1_000
    generator_checker_ms: int = 1_000
    metrics_token: str = ""
    metrics_colonies: int = 100
    traces: bool = False
    tls: Tls | None = None
    limits: Limits = field(default_factory=Limits)
    build_version: str = ""
    build_time: str = ""
    verbose: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read all settings.

        Raises:
            Malformed: every variable that is missing or unreadable, in one message.
        """
        read = _Reader(environ)
        limits = Limits(
            **{
                name: read.count(f"COLONIES_{name.upper()}", getattr(Limits(), name), least=1)
                for name in _LIMITS
            }
        )
        policy_s = read.policy_s()
        settings = cls(
            redis_url=read.text("COLONIES_REDIS_URL", "redis://localhost:6379/0", _redis_url),
            server_id=read.text("COLONIES_SERVER_ID", "", _identity),
            host=read.text("COLONIES_SERVER_LISTEN", "0.0.0.0", _anything),  # noqa: S104
            port=read.count("COLONIES_SERVER_PORT", DEFAULT_PORT, most=65_535),
            workers=read.count("COLONIES_WORKERS", 1, least=1),
            roles=read.roles("COLONIES_ROLES"),
            durability=read.durability("COLONIES_DURABILITY"),
            replicas=read.count("COLONIES_STORE_REPLICAS", 0),
            allow_reregister=read.flag("COLONIES_ALLOW_EXECUTOR_REREGISTER"),
            stale_executor_s=read.count("COLONIES_STALE_EXECUTOR_DURATION", 600, least=1),
            cleanup_interval_s=read.count("COLONIES_CLEANUP_INTERVAL", 60, least=1),
            replay_window_ms=read.count("COLONIES_REPLAY_WINDOW_MS", 300_000, least=1_000),
            keep_requests=read.flag("COLONIES_KEEP_REQUESTS"),
            log_retention_s=read.count("COLONIES_LOG_RETENTION", policy_s or LOG_RETENTION_S),
            log_retention_bytes=read.count("COLONIES_LOG_RETENTION_BYTES", 1024**3),
            success_retention_s=read.count("COLONIES_RETENTION_SUCCESS", policy_s),
            failed_retention_s=read.count("COLONIES_RETENTION_FAILED", 0),
            cancelled_retention_s=read.count("COLONIES_RETENTION_CANCELLED", 0),
            file_revisions=read.count("COLONIES_RETENTION_REVISIONS", 0),
            file_revision_s=read.count("COLONIES_RETENTION_REVISION_AGE", 0),
            archive_url=read.archive_url(),
            timescaledb=read.flag(TIMESCALEDB) if environ.get(TIMESCALEDB) else None,
            stream_keep_s=read.count("COLONIES_STREAM_KEEP", 0),
            archive_lines_s=read.count("COLONIES_ARCHIVE_LOG_RETENTION", 0),
            timezone=read.text("COLONIES_TIMEZONE", "UTC", _timezone),
            cron_checker_ms=read.count("COLONIES_CRON_CHECKER_PERIOD", 1_000, least=10),
            generator_checker_ms=read.count("COLONIES_GENERATOR_CHECKER_PERIOD", 1_000, least=10),
            metrics_token=environ.get("COLONIES_METRICS_TOKEN", ""),
            metrics_colonies=read.count("COLONIES_METRICS_COLONIES", 100),
            traces=read.flag("COLONIES_TRACES"),
            tls=read.tls(),
            limits=limits,
            build_version=environ.get("BUILD_VERSION", ""),
            build_time=environ.get("BUILD_TIME", ""),
            verbose=read.flag("COLONIES_VERBOSE"),
        )
        if settings.workers > 1 and Role.API not in settings.roles:
            read.problems.append("COLONIES_WORKERS answer requests; without the role api it is 1")
        if settings.replicas and CLUSTER not in settings.redis_url:
            read.problems.append("COLONIES_STORE_REPLICAS needs a redis+cluster:// store")
        read.problems += settings.problems_of_archive()
        if read.problems:
            raise Malformed("settings: " + "; ".join(read.problems))
        return settings

    def problems_of_archive(self) -> list[str]:
        """What does not fit together."""
        problems: list[str] = []
        if self.roles == frozenset({Role.ARCHIVER}) and not self.archive_url:
            problems.append(f"the role archiver needs {ARCHIVE_URL}")
        if self.stream_keep_s and not self.archive_url:
            problems.append(
                f"COLONIES_STREAM_KEEP needs {ARCHIVE_URL}: only what is archived is trimmed"
            )
        if 0 < self.stream_keep_s < _LEAST_KEEP_S:
            problems.append(f"COLONIES_STREAM_KEEP must be 0, or at least {_LEAST_KEEP_S}")
        return problems

    def to_env(self) -> dict[str, str]:
        """The environment from which a worker process reads these same settings."""
        env = {
            "COLONIES_REDIS_URL": self.redis_url,
            "COLONIES_SERVER_ID": self.server_id,
            "COLONIES_SERVER_LISTEN": self.host,
            "COLONIES_SERVER_PORT": str(self.port),
            "COLONIES_WORKERS": str(self.workers),
            "COLONIES_ROLES": ",".join(sorted(self.roles)),
            "COLONIES_DURABILITY": self.durability,
            "COLONIES_STORE_REPLICAS": str(self.replicas),
            "COLONIES_ALLOW_EXECUTOR_REREGISTER": str(self.allow_reregister).lower(),
            "COLONIES_STALE_EXECUTOR_DURATION": str(self.stale_executor_s),
            "COLONIES_CLEANUP_INTERVAL": str(self.cleanup_interval_s),
            "COLONIES_REPLAY_WINDOW_MS": str(self.replay_window_ms),
            "COLONIES_KEEP_REQUESTS": str(self.keep_requests).lower(),
            "COLONIES_LOG_RETENTION": str(self.log_retention_s),
            "COLONIES_LOG_RETENTION_BYTES": str(self.log_retention_bytes),
            "COLONIES_RETENTION_SUCCESS": str(self.success_retention_s),
            "COLONIES_RETENTION_FAILED": str(self.failed_retention_s),
            "COLONIES_RETENTION_CANCELLED": str(self.cancelled_retention_s),
            "COLONIES_RETENTION_REVISIONS": str(self.file_revisions),
            "COLONIES_RETENTION_REVISION_AGE": str(self.file_revision_s),
            ARCHIVE_URL: self.archive_url,
            TIMESCALEDB: "" if self.timescaledb is None else str(self.timescaledb).lower(),
            "COLONIES_STREAM_KEEP": str(self.stream_keep_s),
            "COLONIES_ARCHIVE_LOG_RETENTION": str(self.archive_lines_s),
            "COLONIES_TIMEZONE": self.timezone,
            "COLONIES_CRON_CHECKER_PERIOD": str(self.cron_checker_ms),
            "COLONIES_GENERATOR_CHECKER_PERIOD": str(self.generator_checker_ms),
            "COLONIES_METRICS_TOKEN": self.metrics_token,
            "COLONIES_METRICS_COLONIES": str(self.metrics_colonies),
            "COLONIES_TRACES": str(self.traces).lower(),
            "COLONIES_SERVER_TLS": str(self.tls is not None).lower(),
            "COLONIES_VERBOSE": str(self.verbose).lower(),
            "BUILD_VERSION": self.build_version,
            "BUILD_TIME": self.build_time,
        }
        if self.tls:
            env |= {"COLONIES_TLSCERT": self.tls.cert, "COLONIES_TLSKEY": self.tls.key}
        return env | {
            f"COLONIES_{name.upper()}": str(getattr(self.limits, name)) for name in _LIMITS
        }


_LIMITS = tuple(Limits.__dataclass_fields__)
# Every spelling that the reference reads.
_YES, _NO = {"true", "t", "1"}, {"false", "f", "0"}


class _Reader:
    """Reads variables and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str, fault: Callable[[str], str | None]) -> str:
        value = self.environ.get(name, "") or default
        problem = fault(value)
        if problem:
            self.problems.append(f"{name} {problem}")
        return value

    def count(self, name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
        text = self.environ.get(name, "") or str(default)
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            self.problems.append(
                f"{name} must be a whole number from {least} to {most}, is {text!r}"
            )
            return default
        return int(text)

    def policy_s(self) -> int:
        """How long the reference's variables say that things are kept, 0 if they do not."""
        if not self.flag("COLONIES_RETENTION"):
            return 0
        return self.count("COLONIES_RETENTION_POLICY", LOG_RETENTION_S, least=1)

    def archive_url(self) -> str:
        url = archive_url(self.environ)
        problem = fault_in(url)
        if problem:
            self.problems.append(f"{ARCHIVE_URL} {problem}")
        return url

    def flag(self, name: str) -> bool:
        text = self.environ.get(name, "").lower() or "false"
        if text not in _YES | _NO:
            self.problems.append(f"{name} must be true or false, is {text!r}")
        return text in _YES

    def roles(self, name: str) -> frozenset[Role]:
        names = [part.strip() for part in (self.environ.get(name, "") or ",".join(Role)).split(",")]
        unknown = [part for part in names if part not in set(Role)]
        if unknown:
            self.problems.append(f"{name} names {', '.join(unknown)}; known are {', '.join(Role)}")
        return frozenset(Role(part) for part in names if part in set(Role))

    def durability(self, name: str) -> Durability:
        text = self.environ.get(name, "") or Durability.ALWAYS
        if text not in set(Durability):
            self.problems.append(f"{name} must be one of {', '.join(Durability)}, is {text!r}")
            return Durability.ALWAYS
        return Durability(text)

    def tls(self) -> Tls | None:
        if not self.flag("COLONIES_SERVER_TLS"):
            return None
        cert, key = (
            self.environ.get("COLONIES_TLSCERT", ""),
            self.environ.get("COLONIES_TLSKEY", ""),
        )
        if not cert or not key:
            self.problems.append("COLONIES_SERVER_TLS needs COLONIES_TLSCERT and COLONIES_TLSKEY")
        return Tls(cert=cert, key=key)


def _identity(text: str) -> str | None:
    if not text:
        return "is not set; make a key with `colonies key generate` and set its id"
    return None if is_identity(text) else "must be an id of 64 lower-case hex digits"


def _redis_url(text: str) -> str | None:
    known = {"redis", "rediss", "unix", "redis+cluster", "rediss+cluster"}
    return (
        None
        if urlsplit(text).scheme in known
        else "must begin with redis://, rediss://, unix://, redis+cluster:// or rediss+cluster://"
    )


def _timezone(text: str) -> str | None:
    known = zone_named(text) is not None
    return None if known else f"must be a time zone of the IANA database, is {text!r}"


def _anything(_text: str) -> str | None:
    return None
