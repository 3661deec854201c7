"""Where the program begins. Ctrl-C before the command line is read ends it without a word."""

import signal


def main() -> None:
    """Import the command line, and run it."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        # An interrupt of an import is a traceback, and nothing has begun that would have to end.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cli.app import main as run  # noqa: PLC0415 - what may be interrupted

    signal.signal(signal.SIGINT, handler)
    run()
