"""A small classifier of texts trained on a problem, with the epoch chosen on a part of the examples."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdkif import BaselineMethod, Given, Prediction, Record, explained

from .problem import Problem, right

if TYPE_CHECKING:
    import torch

    Forward = Callable[[Sequence[str]], torch.Tensor]

HELD_OUT = 0.2
FEWEST = 10  # examples from which a part can be held out


@dataclass(kw_only=True)
class TextClassifier(BaselineMethod):
    """A classifier of texts trained by AdamW; a fifth of the examples is held out to choose the epoch."""

    epochs: int = explained(20, "passes over the examples, the best of which is kept")
    batch_size: int = explained(16, "records of a step")
    learning_rate: float = explained(1e-3, "of AdamW")

    def answers(self, given: Given) -> list[Prediction]:
        """Scores are log-probabilities, or log-odds where several labels may be right."""
        import torch

        problem = Problem.of(given)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(given.seed)
            model, forward = self.built(problem, given)
            trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
            given.counts["trainable parameters"] = trained
            given.counts["epochs"] = self._train(model, forward, problem, given)
            scores = self._scores(model, forward, problem, given.records)
        return [given.prediction(record, scores=each) for record, each in zip(given.records, scores, strict=True)]

    def built(self, problem: Problem, given: Given) -> tuple[Any, Forward]:
        """A model, and what it gives for texts, (texts, problem.outputs)."""
        raise NotImplementedError

    def _train(self, model: Any, forward: Forward, problem: Problem, given: Given) -> int:
        import torch

        draw = random.Random(given.seed)
        examples = draw.sample(list(given.examples), len(given.examples))
        count = round(HELD_OUT * len(examples)) if len(examples) >= FEWEST else 0
        held, examples = examples[:count], examples[count:]
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.learning_rate)
        best, kept, chosen = float("inf"), copy.deepcopy(model.state_dict()), 0
        with given.progress.task("training the baseline", self.epochs) as bar:
            for epoch in range(1, self.epochs + 1):
                model.train()
                draw.shuffle(examples)
                for start in range(0, len(examples), self.batch_size):
                    loss = _loss(forward, problem, examples[start : start + self.batch_size])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                value = self._measured(model, forward, problem, held or examples)
                if value < best:
                    best, kept, chosen = value, copy.deepcopy(model.state_dict()), epoch
                bar.advance(loss=f"{value:.4f}")
        model.load_state_dict(kept)
        return chosen

    def _measured(self, model: Any, forward: Forward, problem: Problem, records: Sequence[Record]) -> float:
        import torch

        model.eval()
        with torch.no_grad():
            batches = [records[i : i + self.batch_size] for i in range(0, len(records), self.batch_size)]
            return sum(_loss(forward, problem, each).item() * len(each) for each in batches) / len(records)

    def _scores(self, model: Any, forward: Forward, problem: Problem, records: Sequence[Record]) -> list[Any]:
        import torch

        model.eval()
        found: list[Any] = []
        with torch.no_grad():
            for start in range(0, len(records), self.batch_size):
                for each in _logits(forward, problem, records[start : start + self.batch_size]):
                    found.append(tuple((each if problem.several else each.log_softmax(0)).double().tolist()))
        return found


def _logits(forward: Forward, problem: Problem, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
    """One number for each option of each record."""
    outputs = forward([text for record in records for text in problem.texts(record)])
    found: tuple[torch.Tensor, ...] = outputs.float().flatten().split([len(record.options) for record in records])
    return found


def _loss(forward: Forward, problem: Problem, records: Sequence[Record]) -> torch.Tensor:
    """Nats per record of the right option or, where several may be right, per label."""
    import torch
    from torch.nn import functional

    losses = []
    for logits, marks in zip(_logits(forward, problem, records), right(records), strict=True):
        gold = torch.tensor(marks, device=logits.device)
        if problem.several:
            losses.append(functional.binary_cross_entropy_with_logits(logits, gold.float()))
        else:
            losses.append(-logits.log_softmax(0)[gold].logsumexp(0))
    return torch.stack(losses).mean()
