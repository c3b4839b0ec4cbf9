"""Its declaration has a field that does not exist."""

from mdkif import Evaluator, hookimpl


@hookimpl
def mdkif_evaluators():
    return [Evaluator(name="field", titel="A title", target="json:dumps", metrics={"accuracy": True})]
