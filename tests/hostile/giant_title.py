"""Its title would fill a thousand screens."""

from mdkif import Evaluator, hookimpl


@hookimpl
def mdkif_evaluators():
    return [Evaluator(name="giant", title="x" * 5_000_000, target="json:dumps", metrics={"accuracy": True})]
