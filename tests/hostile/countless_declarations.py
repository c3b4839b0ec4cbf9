"""It declares without end."""

from itertools import count

from mdkif import Evaluator, hookimpl


@hookimpl
def mdkif_evaluators():
    return (Evaluator(name=f"e{i}", title="One of many", target="json:dumps", metrics={"a": True}) for i in count())
