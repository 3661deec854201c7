"""Everything the broker raises on purpose.

BrokerError
├── Malformed            cannot be read: bad JSON, bad signature text, a number out of range
├── Rejected             read and understood, and refused; one subclass per reason
│   ├── Denied           the signer is not entitled to it
│   ├── NotFound         what was named is not there
│   ├── Invalid          the request contradicts itself, a limit or the state of what it names
│   ├── Clash            what is there already stands in the way
│   └── Missing, Paused, NothingAvailable, Replayed, Trimmed, Overloaded …
├── Unavailable          the store cannot answer now; safe to try again
└── Corrupt              the log or a row is not what we wrote; stop and look

Callers branch on classes, never on text. The texts are the protocol's (core.md, section 6); which
HTTP status a class becomes is decided in ``api/errors.py`` alone.
"""


class BrokerError(Exception):
    """Root of the tree."""


class Malformed(BrokerError):
    """The request cannot be read."""


class BadSignature(Malformed):
    """No signer can be recovered; the text is the reference's (core.md, section 3)."""


class UnknownMessage(Malformed):
    """A payload type nobody answers."""


class Rejected(BrokerError):
    """The request was understood and refused; nothing was written."""

    code: str = "rejected"


class Denied(Rejected):
    """The signer is not entitled to this."""

    code = "denied"


class NotFound(Rejected):
    """What the request names does not exist."""

    code = "not_found"


class Missing(Rejected):
    """Like NotFound, for the messages where the reference answers 500 to an unknown name."""

    code = "missing"


class Invalid(Rejected):
    """The request contradicts a limit, itself, or the state of what it names."""

    code = "invalid"


class Clash(Rejected):
    """What is there already stands in the way: a name is taken, or something is still in use."""

    code = "clash"


class Taken(Clash):
    """Like Clash, for the message where the reference answers 500 to a name that is taken."""

    code = "taken"


class NothingAvailable(Rejected):
    """No waiting process fits this executor within the time it was willing to wait."""

    code = "nothing_available"


class PausedWhileWaiting(Rejected):
    """The colony stayed paused for as long as the executor waited."""

    code = "paused_while_waiting"


class Paused(Rejected):
    """The colony is paused and the executor did not want to wait."""

    code = "paused"


class Replayed(Rejected):
    """A nonce outside its window, or one that another request has used."""

    code = "replayed"


class Trimmed(Rejected):
    """What is to be read is no longer in the store, and no archive is at hand."""

    code = "trimmed"


class Overloaded(Rejected):
    """An explicit limit was reached; nothing was written, try later."""

    code = "overloaded"


class Unavailable(BrokerError):
    """The store cannot answer now. Whether a command in flight took effect is unknown; retry it."""


class Corrupt(BrokerError):
    """The log or a row is not what we wrote. Never skipped, never guessed around."""
