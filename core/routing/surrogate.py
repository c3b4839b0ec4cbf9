"""A surrogate of the blend: the answers' logits, predicted for any weights from those that were evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from ..hashing import digest

if TYPE_CHECKING:
    from ..prompts.encoding import Encoded

TOP_K = 32
NEARBY = 1e-5
RIDGE = 1e-8


class Surrogate:
    """Logits as functions of the weights, by locally weighted linear regression over the evaluated blends.

    A blend's output is linear in the weights in every layer (SA-MDKIF eq. 8) and, for updates that are small
    beside the base, nearly so at the end. One evaluation tells thousands of logits and not one loss, so K + 2
    of them predict the loss of every blend; each further one corrects the forecast where it lies.
    """

    def __init__(self) -> None:
        self._weights: list[torch.Tensor] = []
        self._logits: list[torch.Tensor] = []

    def note(self, weights: torch.Tensor, logits: torch.Tensor) -> None:
        """Remember an evaluated blend: weights of any shape, and logits (positions, tokens)."""
        self._weights.append(weights.detach().flatten().double().cpu())
        self._logits.append(logits.detach().float().cpu())

    def knows(self, weights: torch.Tensor) -> bool:
        """Whether that blend was noted."""
        return any(torch.equal(each, weights.detach().flatten().double().cpu()) for each in self._weights)

    def knows_only(self, blends: torch.Tensor) -> bool:
        """Whether those blends were noted, in their order, and no others."""
        wanted = [each.detach().flatten().double().cpu() for each in blends]
        return len(wanted) == len(self._weights) and all(map(torch.equal, wanted, self._weights))

    def around(self, near: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The forecast, fitted best near those weights: from weights to logits (positions, tokens)."""
        center = near.detach().flatten().double().cpu()
        steps = torch.stack(self._weights) - center
        share = (NEARBY + steps.square().sum(1)).rsqrt()[:, None]
        design = torch.cat([torch.ones(len(steps), 1, dtype=torch.float64), steps], 1) * share
        gram = design.T @ design
        gram += RIDGE * gram.trace() / len(gram) * torch.eye(len(gram), dtype=torch.float64)
        # solved for the evaluations' shares, of which there are few, and not for each of the many logits
        shares = torch.linalg.lstsq(gram, design.T, driver="gelsd").solution * share.T
        known = torch.stack(self._logits)

        def predict(weights: torch.Tensor) -> torch.Tensor:
            step = torch.cat([torch.ones(1), weights.flatten() - center])
            return torch.einsum("e,epw->pw", (step @ shares).float(), known)

        return predict


def top_k(logits: torch.Tensor, gold: torch.Tensor) -> torch.Tensor:
    """The tokens whose logits are kept at each position: the gold one first, then the likeliest others.

    From logits (positions, vocabulary) and gold ids (positions,); int64 (positions, at most 33).
    """
    others = logits.scatter(1, gold[:, None], -torch.inf)
    return torch.cat([gold[:, None], others.topk(min(TOP_K, logits.shape[1] - 1), 1).indices], 1)


def summary(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Logits of the watched tokens and, in the last column, of all others together.

    From logits (positions, vocabulary) and ids (positions, tokens) to (positions, watched + 1), of which
    softmax gives the watched tokens' exact probabilities.
    """
    chosen = logits.gather(1, tokens)
    rest = logits.scatter(1, tokens, -torch.inf).logsumexp(1, keepdim=True)
    return torch.cat([chosen, rest.clamp(min=torch.finfo(torch.float32).min / 4)], 1)


class Recorder:
    """Hands a surrogate the answers' logits of every blend that was evaluated on all of the examples.

    At first only of the `first` blends, which are the references; of all from `keep_all` on. The kept
    tokens are the likeliest of whichever blend comes first.
    """

    def __init__(self, examples: Sequence[Encoded], first: int) -> None:
        self.surrogate = Surrogate()
        self._examples, self._left, self._complete = examples, first, False
        self._tokens: dict[int, torch.Tensor] = {}
        self._open: dict[str, dict[int, torch.Tensor]] = {}

    def keep_all(self, seeds: torch.Tensor) -> None:
        """From now on a blend that the surrogate does not know has to be evaluated, again if need be.

        If it does not know the blends `seeds` and no others, in their order, it forgets what it knows: a search that
        was interrupted, whose references are in part in a cache, is to go on from the same forecast.
        """
        if not self._complete and not self.surrogate.knows_only(seeds):
            self.surrogate, self._tokens, self._open = Surrogate(), {}, {}
        self._complete = True

    def lacks(self, weights: torch.Tensor) -> bool:
        """Whether a blend has to be evaluated for the surrogate's sake."""
        return self._complete and not self.surrogate.knows(weights)

    def note(self, weights: torch.Tensor, row: int, logits: torch.Tensor) -> None:
        """Take the logits (keep, vocabulary) of one example, the last of which predict its answer."""
        key = digest(weights)
        if key not in self._open:
            if not (self._complete or self._left):
                return
            self._left = max(0, self._left - 1)
        answer = self._examples[row].answer
        logits = logits[-len(answer) :]
        if row not in self._tokens:
            self._tokens[row] = top_k(logits, torch.tensor(answer, device=logits.device))
        seen = self._open.setdefault(key, {})
        seen[row] = summary(logits, self._tokens[row])
        if len(seen) == len(self._examples):
            del self._open[key]
            self.surrogate.note(weights, torch.cat([seen[row] for row in range(len(seen))]))
