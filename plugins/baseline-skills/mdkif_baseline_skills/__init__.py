"""Baselines over trained skills: an ensemble without a blend, and random adapters in the place of the skills."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import Literal

from mdkif import AdaptSettings, Baseline, BaselineMethod, Given, Positive, Prediction, Toolkit, explained, hookimpl


@hookimpl
def mdkif_baselines() -> list[Baseline]:
    """Two baselines."""
    return [
        Baseline(
            name="ensemble",
            title="Every skill answers; the mean of their log-probabilities",
            target=f"{__name__}:Ensemble",
            uses="skills",
            takes="options",
        ),
        Baseline(
            name="random-skills",
            title="Random adapters of the skills' size, routed alike",
            target=f"{__name__}:RandomSkills",
            uses="skills",
        ),
    ]


@dataclass(kw_only=True)
class Ensemble(BaselineMethod):
    """Each skill alone scores the options; their normalised log-probabilities are averaged.

    It costs as many passes as there are skills, where a blend costs one.
    """

    def answers(self, given: Given) -> list[Prediction]:
        """The options of the highest mean."""
        base, each = given.encoder.base, []
        for name, artifact in given.skills.items():
            with artifact.applied(base) as adapted:
                each.append(given.predict(adapted, f"ensemble: {name}"))
        given.counts["skills"] = len(each)
        return [
            given.prediction(
                record, scores=tuple(fsum(score) / len(each) for score in zip(*(p.scores for p in found), strict=True))
            )
            for record, *found in zip(given.records, *each, strict=True)
        ]


@dataclass(kw_only=True)
class RandomSkills(BaselineMethod):
    """The control for any claim that skills transfer: as many adapters of random numbers, routed by the same router.

    Each module of each skill is replaced by a random update of the same rank and Frobenius norm. What a router makes of
    them it owes to the search in a small space, and to nothing that was learnt.
    """

    router: str = explained("gradient", "the router that finds their weights")
    scale: Literal["auto", "one", "free", "signed"] = explained("auto", "what the weights may be, as of `adapt`")
    granularity: Literal["skill", "layer", "module"] = explained("skill", "as of `adapt`")
    examples: Positive = explained(128, "most examples that the router learns from")

    def answers(self, given: Given) -> list[Prediction]:
        """The answers of the blend that the router finds on the examples."""
        from mdkif import SkillBank, routed

        from .randomised import randomised

        encoder = given.encoder
        examples = encoder.encode_all(given.examples[: self.examples], "examples to learn from")
        skills = {
            name: randomised(artifact.updates(encoder.base), f"{given.seed}:{name}")
            for name, artifact in given.skills.items()
        }
        bank = SkillBank(encoder.base.model, skills, self.granularity)
        settings = AdaptSettings(scale=self.scale, granularity=self.granularity, seed=given.seed)
        weights = routed(Toolkit().router(self.router), given.task, encoder, bank, examples, settings, given.progress)
        given.counts |= {"skills": len(skills), "routed on": len(examples)}
        with bank.applied(weights):
            return given.predict(title="evaluating baseline:random-skills")
