"""mdkif: turn a frozen general LLM into a medical one, skill by skill.

The public API. Importing it is light: names that need more are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .core.contract.declarations import BaseModel, Command, Dataset, Evaluator, Router, Skill, Source, Task, Trainer
from .core.contract.hookspecs import hookimpl
from .core.data.conversion import ConversionReport, convert
from .core.data.labels import format_choices, format_entities, parse_choices, parse_entities
from .core.data.record_files import read_records, write_records
from .core.data.records import Record
from .core.data.splits import hashed_split
from .core.errors import BadInput, MdkifError
from .core.inference.predictions import Likelihoods, Prediction
from .core.progress import Progress
from .core.routing.optimizer import Candidate, Objective, RouterOptimizer, best
from .core.store.files import atomic_directory, atomic_file
from .core.training.method import Loss, TuningMethod
from .core.training.settings import TrainSettings

if TYPE_CHECKING:
    from .core.adapters.bank import SkillBank
    from .core.adapters.low_rank import LowRank
    from .core.console import tables as reporting
    from .core.evaluation.evaluate import EvaluateSettings
    from .core.inference.likelihood import answer_loss
    from .core.inference.scoring import option_scores
    from .core.models.base import Base
    from .core.prompts.batching import Batch, collate
    from .core.prompts.encoding import Encoded
    from .core.routing.adapt import AdaptSettings
    from .core.routing.surrogate import Surrogate
    from .core.routing.weights import WeightParameterization
    from .core.toolkit import Toolkit
    from .core.training.loop import train

__version__ = "0.1.0"

_LAZY = {
    "AdaptSettings": "routing.adapt",
    "Base": "models.base",
    "Batch": "prompts.batching",
    "Encoded": "prompts.encoding",
    "EvaluateSettings": "evaluation.evaluate",
    "LowRank": "adapters.low_rank",
    "SkillBank": "adapters.bank",
    "WeightParameterization": "routing.weights",
    "Surrogate": "routing.surrogate",
    "Toolkit": "toolkit",
    "answer_loss": "inference.likelihood",
    "collate": "prompts.batching",
    "option_scores": "inference.scoring",
    "train": "training.loop",
}

__all__ = [
    "AdaptSettings",
    "BadInput",
    "Base",
    "BaseModel",
    "Batch",
    "Candidate",
    "Command",
    "ConversionReport",
    "Dataset",
    "Encoded",
    "EvaluateSettings",
    "Evaluator",
    "Likelihoods",
    "Loss",
    "LowRank",
    "MdkifError",
    "Objective",
    "Prediction",
    "Progress",
    "Record",
    "Router",
    "RouterOptimizer",
    "Skill",
    "SkillBank",
    "Source",
    "Surrogate",
    "Task",
    "Toolkit",
    "TrainSettings",
    "Trainer",
    "TuningMethod",
    "WeightParameterization",
    "answer_loss",
    "atomic_directory",
    "atomic_file",
    "best",
    "collate",
    "convert",
    "format_choices",
    "format_entities",
    "hashed_split",
    "hookimpl",
    "option_scores",
    "parse_choices",
    "parse_entities",
    "read_records",
    "reporting",
    "train",
    "write_records",
]


def __getattr__(name: str) -> Any:
    if name == "reporting":
        return import_module(f"{__name__}.core.console.tables")
    if name not in _LAZY:
        raise AttributeError(f"module 'mdkif' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.core.{_LAZY[name]}"), name)
