"""An evaluator: the share of right answers."""

from mdkif import Evaluator, hookimpl


@hookimpl
def mdkif_evaluators():
    """The evaluator."""
    return [Evaluator(name="case", title="Right answers", target=f"{__name__}:evaluate", metrics={"right": True})]


def evaluate(predictions):
    """The share, and how many there are."""
    if not predictions:
        return {"n": 0}
    right = sum(each.text == each.answer for each in predictions) / len(predictions)
    return {"n": len(predictions), "right": right}
