"""A baseline: what was right most often, with a little chance."""

import random
from collections import Counter
from dataclasses import dataclass

from mdkif import Baseline, BaselineMethod, hookimpl


@hookimpl
def mdkif_baselines():
    """The baseline."""
    return [Baseline(name="case", title="Right most often", target=f"{__name__}:Most", takes="options")]


@dataclass(kw_only=True)
class Most(BaselineMethod):
    """Its field is a setting."""

    noise: float = 0.01

    def answers(self, given):
        """The same for every record."""
        counts, draw = Counter(label for each in given.examples for label in each.labels), random.Random(given.seed)
        found = []
        for record in given.records:
            scores = [counts[option] + self.noise * draw.random() for option in record.options]
            found.append(given.prediction(record, scores=tuple(scores)))
        return found
