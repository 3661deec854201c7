"""What can go wrong while measuring; every one of them ends the run without a result."""


class BenchError(Exception):
    """Root of the tree."""


class WrongAnswer(BenchError):
    """A server answered, but not what the protocol promises. Its speed is of no interest."""


class NotStarted(BenchError):
    """A server could not be started; the message shows the end of what it wrote."""


class ConnectionGone(BenchError):
    """The server closed a connection while a request was in flight."""
