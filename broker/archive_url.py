"""Where the archive is: COLONIES_ARCHIVE_URL, or the reference's variables for its database."""

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

ARCHIVE_URL = "COLONIES_ARCHIVE_URL"
HOST, PORT = "COLONIES_DB_HOST", "COLONIES_DB_PORT"
USER, PASSWORD = "COLONIES_DB_USER", "COLONIES_DB_PASSWORD"
NAME, TIMESCALEDB = "COLONIES_DB_NAME", "COLONIES_DB_TIMESCALEDB"
_SCHEMES = {"postgresql", "postgres"}


def archive_url(environ: Mapping[str, str], *, host: str = "") -> str:
    """The address of the archive, "" when none is named; ``host`` holds where no variable does."""
    url = environ.get(ARCHIVE_URL, "")
    host = environ.get(HOST, "") or host
    if url or not host:
        return url
    user, password = (quote(environ.get(name, ""), safe="") for name in (USER, PASSWORD))
    who = user + (f":{password}" if password else "") + ("@" if user or password else "")
    port, name = environ.get(PORT, "") or "5432", environ.get(NAME, "") or "postgres"
    # A path is the directory of a unix socket, which stands where no host of a URL can.
    if host.startswith("/"):
        return f"postgresql://{who}/{quote(name)}?host={quote(host)}&port={port}"
    return f"postgresql://{who}{host}:{port}/{quote(name)}"


def fault_in(url: str) -> str | None:
    """What is wrong with such an address, if anything."""
    if not url or urlsplit(url).scheme in _SCHEMES:
        return None
    return "must begin with postgresql://"
