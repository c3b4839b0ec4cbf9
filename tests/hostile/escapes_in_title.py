"""Its title would clear the screen."""

from mdkif import Evaluator, hookimpl


@hookimpl
def mdkif_evaluators():
    return [Evaluator(name="clearing", title="\x1b[2J\x1b[H", target="json:dumps", metrics={"accuracy": True})]
