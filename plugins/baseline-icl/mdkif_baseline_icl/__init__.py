"""In-context learning (Brown et al., 2020): the base model as it is, after a few solved examples."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mdkif import Baseline, BaselineMethod, Given, Positive, Prediction, demonstrated, explained, hookimpl


@hookimpl
def mdkif_baselines() -> list[Baseline]:
    """One baseline, `icl`."""
    return [
        Baseline(
            name="icl",
            title="In-context learning: solved examples before every question",
            target="mdkif_baseline_icl:InContextLearning",
            uses="model",
        )
    ]


@dataclass(kw_only=True)
class InContextLearning(BaselineMethod):
    """Examples drawn by the seed, labels in turn, as many as fit into the budget; none of them is cut.

    They come before a question as turns of a chat or, where prompts are plain text, as blocks. A generated answer is
    read to the end of its first line if every demonstration's answer is one line, since a model goes on with another
    block. The report counts demonstrations, their tokens, and all tokens read.
    """

    budget: Positive = explained(512, "most tokens of the demonstrations of one prompt")

    def answers(self, given: Given) -> list[Prediction]:
        """The base model's answers. Raises BadInput where no example fits into the budget, or too many do."""
        shown = demonstrated(given.encoder, given.examples, self.budget, given.seed)
        of_one_line = not any("\n" in each.answer.strip() for each in shown.encoder.demonstrations)
        answering = replace(given.answering, read="first-line") if of_one_line else given.answering
        own = replace(given, model=shown.encoder, answering=answering)
        given.counts |= {
            "demonstrations": len(shown.records),
            "demonstration tokens": shown.tokens,
            "tokens read": sum(len(each.prompt) for each in shown.encoder.encode(given.records)),
        }
        return own.predict(title="evaluating baseline:icl")
