"""mdkif: turn a frozen general LLM into a medical one, skill by skill.

The public API. Importing it takes no time: every name is imported when it is first used, and so is what this module
itself needs, for until `__main__` has begun Python answers Ctrl-C with a traceback.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .core.adapters.bank import SkillBank
    from .core.adapters.low_rank import LowRank
    from .core.console import tables as reporting
    from .core.contract.declarations import (
        Baseline,
        BaseModel,
        Command,
        Dataset,
        Evaluator,
        InstalledData,
        Pack,
        Recipe,
        Router,
        Skill,
        Source,
        Task,
        Trainer,
    )
    from .core.contract.distributions import packaged
    from .core.contract.hookspecs import Run, hookimpl
    from .core.data.conversion import ConversionReport, convert
    from .core.data.labels import format_choices, format_entities, parse_choices, parse_entities, question_of
    from .core.data.own import convert_own
    from .core.data.record_files import read_records, text_lines, write_records
    from .core.data.records import Record
    from .core.data.sampling import Matchable, letter_triples, matched_choices
    from .core.data.splits import hashed_split
    from .core.errors import BadInput, MdkifError
    from .core.evaluation.baseline import BaselineMethod, Given
    from .core.evaluation.settings import EvaluateSettings
    from .core.inference.generation import generate
    from .core.inference.likelihood import answer_loss
    from .core.inference.predictions import Likelihoods, Prediction
    from .core.inference.scoring import option_scores
    from .core.models.base import Base
    from .core.progress import Progress
    from .core.prompts.batching import Batch, collate
    from .core.prompts.demonstrations import Demonstrated, demonstrated
    from .core.prompts.encoding import Encoded
    from .core.prompts.options import MatchedChoices
    from .core.routing.objective import routed
    from .core.routing.optimizer import (
        AdaptSettings,
        Candidate,
        Objective,
        RouterOptimizer,
        at_best_total,
        best,
        starting_points,
    )
    from .core.routing.surrogate import Surrogate
    from .core.routing.weights import WeightParameterization
    from .core.settings import Positive, PositiveFloat, explained
    from .core.store.files import atomic_directory, atomic_file
    from .core.toolkit import Toolkit
    from .core.training.loop import train
    from .core.training.method import Loss, TuningMethod
    from .core.training.settings import TrainSettings
    from .core.tuning.fit import Tunable, fitted, held_out
    from .core.tuning.losses import ShotsLoss, shots_loss
    from .core.tuning.peft_tuning import PeftTunable
    from .core.tuning.residual import Residual
    from .core.tuning.settings import TuneSettings

__version__ = "0.1.0"

_MODULES = {
    "adapters.bank": "SkillBank",
    "adapters.low_rank": "LowRank",
    "contract.declarations": "BaseModel Baseline Command Dataset Evaluator InstalledData Pack Recipe "
    "Router Skill Source Task Trainer",
    "contract.distributions": "packaged",
    "contract.hookspecs": "Run hookimpl",
    "data.conversion": "ConversionReport convert",
    "data.labels": "format_choices format_entities parse_choices parse_entities question_of",
    "data.own": "convert_own",
    "data.record_files": "read_records text_lines write_records",
    "data.records": "Record",
    "data.sampling": "Matchable letter_triples matched_choices",
    "data.splits": "hashed_split",
    "errors": "BadInput MdkifError",
    "evaluation.baseline": "BaselineMethod Given",
    "evaluation.settings": "EvaluateSettings",
    "inference.generation": "generate",
    "inference.likelihood": "answer_loss",
    "inference.predictions": "Likelihoods Prediction",
    "inference.scoring": "option_scores",
    "models.base": "Base",
    "progress": "Progress",
    "prompts.batching": "Batch collate",
    "prompts.demonstrations": "Demonstrated demonstrated",
    "prompts.encoding": "Encoded",
    "prompts.options": "MatchedChoices",
    "routing.objective": "routed",
    "routing.optimizer": "AdaptSettings Candidate Objective RouterOptimizer at_best_total best starting_points",
    "routing.surrogate": "Surrogate",
    "routing.weights": "WeightParameterization",
    "settings": "Positive PositiveFloat explained",
    "store.files": "atomic_directory atomic_file",
    "toolkit": "Toolkit",
    "training.loop": "train",
    "training.method": "Loss TuningMethod",
    "training.settings": "TrainSettings",
    "tuning.fit": "Tunable fitted held_out",
    "tuning.losses": "ShotsLoss shots_loss",
    "tuning.residual": "Residual",
    "tuning.peft_tuning": "PeftTunable",
    "tuning.settings": "TuneSettings",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "AdaptSettings",
    "BadInput",
    "Base",
    "BaseModel",
    "Baseline",
    "BaselineMethod",
    "Batch",
    "Candidate",
    "Command",
    "ConversionReport",
    "Dataset",
    "Demonstrated",
    "Encoded",
    "EvaluateSettings",
    "Evaluator",
    "Given",
    "InstalledData",
    "Likelihoods",
    "Loss",
    "LowRank",
    "Matchable",
    "MatchedChoices",
    "MdkifError",
    "Objective",
    "Pack",
    "PeftTunable",
    "Positive",
    "PositiveFloat",
    "Prediction",
    "Progress",
    "Recipe",
    "Record",
    "Residual",
    "Router",
    "RouterOptimizer",
    "Run",
    "ShotsLoss",
    "Skill",
    "SkillBank",
    "Source",
    "Surrogate",
    "Task",
    "Toolkit",
    "TrainSettings",
    "Trainer",
    "Tunable",
    "TuneSettings",
    "TuningMethod",
    "WeightParameterization",
    "answer_loss",
    "at_best_total",
    "atomic_directory",
    "atomic_file",
    "best",
    "collate",
    "convert",
    "convert_own",
    "demonstrated",
    "explained",
    "fitted",
    "format_choices",
    "format_entities",
    "generate",
    "hashed_split",
    "held_out",
    "hookimpl",
    "letter_triples",
    "matched_choices",
    "option_scores",
    "packaged",
    "parse_choices",
    "parse_entities",
    "question_of",
    "read_records",
    "reporting",
    "routed",
    "shots_loss",
    "starting_points",
    "text_lines",
    "train",
    "write_records",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "reporting":
        found: Any = import_module(f"{__name__}.core.console.tables")
    elif name in _MODULE_OF:
        found = getattr(import_module(f"{__name__}.core.{_MODULE_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found
