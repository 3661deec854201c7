"""What the commands of ``colonies history`` share: the store, and how events look."""

import json
import os
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TextIO, cast

from api.history import log
from api.history.check import Checker, Report
from api.history.log import History
from api.history.proof import BY_SERVER, UNREADABLE, Proof
from api.telling import body_of
from api.wire import encode, rfc3339
from broker.archive_url import archive_url
from broker.envelope import Recorded
from broker.errors import BrokerError, Clash, Malformed, Trimmed, Unavailable
from cli import embedded, render
from cli.errors import CliError, Unreachable, UsageError
from cli.given import given_json
from cli.options import Options
from cli.profile import data_dir
from cli.session import settle

DEV = "dev"
_SHORT = 12
_CUT = 48
_TYPE_WIDTH = 18
_SECOND_NS = 1_000_000_000


def store_url(options: Options) -> str:
    """Where the store is: COLONIES_REDIS_URL, else that of a running ``colonies dev``.

    Raises:
        UsageError: neither is there, or a profile for another server is in use.
    """
    url = os.environ.get("COLONIES_REDIS_URL", "")
    if url:
        return url
    profile = settle(options).profile
    if profile not in {"", DEV}:
        raise UsageError(
            f"the store of profile {profile} is not known",
            hint="history is read from the store itself: export COLONIES_REDIS_URL",
        )
    socket = embedded.socket_of(data_dir(os.environ) / DEV)
    if not socket.exists():
        raise UsageError(
            "no store is known",
            hint="history is read from the store itself: export COLONIES_REDIS_URL,"
            " or start `colonies dev`",
        )
    return f"unix://{socket}"


@asynccontextmanager
async def opened(options: Options) -> AsyncGenerator[History]:
    """The logs of the store, for the length of a command.

    Raises:
        CliError: whatever is wrong with it.
    """
    url = store_url(options)
    try:
        async with log.opened(url, archive_url(os.environ)) as history:
            yield history
    except Unavailable as error:
        hint = "is the store running? it is the one of COLONIES_REDIS_URL, or of `colonies dev`"
        raise Unreachable(str(error), hint=hint) from error
    except BrokerError as error:
        raise CliError(str(error), hint=_hint(error)) from error


def _hint(error: BrokerError) -> str:
    if isinstance(error, Trimmed):
        return "export COLONIES_ARCHIVE_URL, the one that the servers have; docs/archive.md"
    if isinstance(error, Clash):
        return "point COLONIES_REDIS_URL at an empty store; nothing here was changed"
    if isinstance(error, Malformed):
        return "see docs/archive.md"
    if "colony" in str(error):
        return "`colonies history verify` names all colonies of the store"
    return "the log or what is kept of it is damaged; nothing was changed"


@contextmanager
def replaced(path: Path) -> Generator[TextIO]:
    """A file that is there when all of it was written, and not before.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            whole = False
            try:
                yield cast("TextIO", file)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
                whole = True
            finally:
                if not whole:
                    Path(file.name).unlink()
    except OSError as error:
        hint = "the directory must be there, with room for the whole log"
        raise UsageError(f"cannot write {path}: {error.strerror}", hint=hint) from error


def checked(path: Path, request: Path | None, *, show: bool) -> Report:
    """What is to be said of an exported log; with ``show``, what each of its requests asked for.

    Raises:
        UsageError: it, or the request, cannot be read or is none.
    """
    try:
        asked = _payload(request.read_bytes()) if request else b""
        with path.open("rb") as lines:
            return Checker(asked, show=show).run(lines)
    except OSError as error:
        hint = "`colonies history export FILE` writes one"
        raise UsageError(f"cannot read {error.filename}: {error.strerror}", hint=hint) from error
    except Malformed as error:
        raise UsageError(str(error), hint="`colonies history export FILE` writes one") from error


def _payload(text: bytes) -> bytes:
    """The text that a signed request signs.

    Raises:
        UsageError: it is no such request.
    """
    try:
        return json.loads(text)["payload"].encode()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "it is the JSON with payloadtype, payload and signature that a client sends"
        raise UsageError("this is no signed request", hint=hint) from error


def moment(at_ns: int) -> str:
    """A time in the local zone, to the microsecond."""
    seconds, rest = divmod(at_ns, _SECOND_NS)
    at = datetime.fromtimestamp(seconds, UTC).astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S}.{rest // 1_000:06d}"


class Teller:
    """Says what an event was, in a line or as data."""

    def __init__(self, people: Mapping[str, str], style: render.Style, *, whole: bool) -> None:
        """``whole`` leaves nothing out of a line, however long it gets."""
        self._people = people
        self._style = style
        self._whole = whole

    def line(self, recorded: Recorded) -> str:
        """Where and when, what, about what, who asked for it, and the rest."""
        event = recorded.event
        fields = " ".join(
            f"{name}={self._cut(json.dumps(value, ensure_ascii=False))}"
            for name, value in _plain(body_of(event)).items()
            if value not in ("", [], {}, None)
        )
        parts = (
            f"{recorded.position!s:<17}",
            moment(event.at_ns),
            f"{event.TYPE:<{_TYPE_WIDTH}}",
            self._id(event.subject),
            self._who(recorded),
            fields,
        )
        return render.printable("  ".join(part for part in parts if part)).replace("\n", " ")

    def data(self, recorded: Recorded) -> dict[str, object]:
        """Everything, for programs."""
        event, proof = recorded.event, Proof.read(recorded.signed)
        request = {"request": proof.request.decode("ascii", "replace")} if proof.request else {}
        return {
            "position": str(recorded.position),
            "at": rfc3339(event.at_ns),
            "type": event.TYPE,
            "version": event.VERSION,
            "subject": event.subject,
            "actor": event.actor,
            "actorname": self._people.get(event.actor, ""),
            "cause": event.cause,
            "signer": proof.signer,
            "digest": proof.digest.hex(),
            "signature": proof.signature.hex(),
            **request,
            "body": _plain(body_of(event)),
        }

    def _who(self, recorded: Recorded) -> str:
        event, proof = recorded.event, Proof.read(recorded.signed)
        cause = f" ({event.cause})" if event.cause else ""
        if proof.signer == BY_SERVER:
            return f"by {self._name(event.actor) if event.actor else 'the server'}{cause}, unsigned"
        if proof.signer == event.actor:
            return f"by {self._name(event.actor)}{cause}, signed"
        if proof.signer == UNREADABLE:
            return f"by {self._name(event.actor)}{cause}, the signature is none"
        return f"by {self._name(event.actor)}{cause}, signed by {self._name(proof.signer)}"

    def _name(self, identity: str) -> str:
        name = self._people.get(identity, "")
        return name or self._id(identity) or "the server"

    def _id(self, text: str) -> str:
        if self._style.width and len(text) > _SHORT and not self._whole:
            return text[:_SHORT] + ("…" if self._style.unicode else "")
        return text

    def _cut(self, text: str) -> str:
        if self._whole or len(text) <= _CUT:
            return text
        dots = "…" if self._style.unicode else "..."
        return text[: _CUT - len(dots)] + dots


def _plain(body: Mapping[str, object]) -> dict[str, object]:
    """A body whose stored JSON is data like the rest."""
    return cast("dict[str, object]", given_json(encode(body)))
