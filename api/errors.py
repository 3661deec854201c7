"""Exception class to HTTP status: the one table; and what of an error is for the client."""

import structlog

from broker import errors

_log = structlog.get_logger(__name__)

STATUS: dict[type[errors.BrokerError], int] = {
    errors.Malformed: 400,
    errors.BadSignature: 403,
    errors.UnknownMessage: 403,
    errors.Invalid: 400,
    errors.Denied: 403,
    errors.NotFound: 404,
    errors.Missing: 500,
    errors.Clash: 409,
    errors.Taken: 500,
    errors.NothingAvailable: 404,
    errors.PausedWhileWaiting: 408,
    errors.Paused: 503,
    errors.Replayed: 403,
    errors.Trimmed: 404,
    errors.Overloaded: 503,
    errors.Unavailable: 503,
    errors.Corrupt: 500,
}


def status_of(error: errors.BrokerError) -> int:
    """The status of the nearest class in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def told(error: Exception) -> tuple[int, str]:
    """Status and text for a client. A bug, or data that is damaged, is for the server's log."""
    if isinstance(error, errors.BrokerError) and not isinstance(error, errors.Corrupt):
        return status_of(error), str(error)
    _log.error("bug", exc_info=error)
    return 500, "internal error; the server's log says more"
