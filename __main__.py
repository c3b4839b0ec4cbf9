"""The console script and `python -m mdkif`: while Python still imports, Ctrl-C ends the program without a word."""

from __future__ import annotations

from signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal

OWN = getsignal(SIGINT) is default_int_handler  # else whoever started this program wants Ctrl-C ignored

if OWN:
    signal(SIGINT, SIG_DFL)


def entry() -> None:
    """Run the command line, which has an answer to Ctrl-C of its own."""
    import sys

    from .cli import main
    from .core.console.app import run

    if OWN:
        signal(SIGINT, default_int_handler)
    code = run(main, sys.argv[1:])
    if OWN:
        signal(SIGINT, SIG_DFL)  # nor has Python a traceback to show while it tidies up
    sys.exit(code)


if __name__ == "__main__":
    entry()
