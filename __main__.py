"""The console script and `python -m mdkif`: while Python still imports, Ctrl-C ends the program without a word.

From then on Ctrl-C, an end that the system asks for (SIGTERM) and a closed terminal (SIGHUP) are one thing: an orderly
interruption.
"""

from __future__ import annotations

from signal import SIG_DFL, SIGINT, SIGTERM, Signals, default_int_handler, getsignal, signal

ENDS = (SIGINT, SIGTERM, *(each for each in Signals if each.name == "SIGHUP"))  # which Windows lacks
OWN = [each for each in ENDS if getsignal(each) in (default_int_handler, SIG_DFL)]  # others are to be ignored

for each in OWN:
    signal(each, SIG_DFL)


def entry() -> None:
    """Run the command line, which has an answer to Ctrl-C of its own."""
    import sys

    from .cli import main
    from .core.console.app import run

    for each in OWN:
        signal(each, default_int_handler)
    code = run(main, sys.argv[1:])
    for each in OWN:
        signal(each, SIG_DFL)  # nor has Python a traceback to show while it tidies up
    sys.exit(code)


if __name__ == "__main__":
    entry()
