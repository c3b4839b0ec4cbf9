"""It takes its time, and works."""

import time

from mdkif import Evaluator, hookimpl

time.sleep(1.2)


@hookimpl
def mdkif_evaluators():
    return [Evaluator(name="slow", title="Late", target="json:dumps", metrics={"accuracy": True})]
