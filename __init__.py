"""mdkif: turn a frozen general LLM into a medical one, skill by skill.

The public API. Importing it is light: names that need more are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .core.answers import annotate, annotated, choose, chosen
from .core.conversion import Conversion, convert
from .core.declarations import (
    BaseModel,
    Command,
    Dataset,
    Evaluator,
    Router,
    Skill,
    Source,
    Task,
    Trainer,
)
from .core.errors import BadInput, MdkifError
from .core.hookspecs import hookimpl
from .core.method import Loss, Method
from .core.optimizer import Candidate, Objective, Optimizer, best
from .core.predictions import Likelihoods, Prediction
from .core.progress import Progress
from .core.records import Record, read_records, write_records
from .core.splits import hashed_split
from .core.store import whole_directory, whole_file

if TYPE_CHECKING:
    from .core import reporting
    from .core.adapters import LowRank
    from .core.bank import SkillBank
    from .core.batching import Batch, collate
    from .core.encoding import Encoded
    from .core.models import Base
    from .core.router import Space
    from .core.scoring import option_scores
    from .core.surrogate import Surrogate
    from .core.toolkit import Toolkit
    from .core.training import TrainingSettings, answer_loss, train

__version__ = "0.1.0"

_LAZY = {
    "Base": "models",
    "Batch": "batching",
    "Encoded": "encoding",
    "LowRank": "adapters",
    "SkillBank": "bank",
    "Space": "router",
    "Surrogate": "surrogate",
    "Toolkit": "toolkit",
    "TrainingSettings": "training",
    "answer_loss": "training",
    "collate": "batching",
    "option_scores": "scoring",
    "train": "training",
}

__all__ = [
    "BadInput",
    "Base",
    "BaseModel",
    "Batch",
    "Candidate",
    "Command",
    "Conversion",
    "Dataset",
    "Encoded",
    "Evaluator",
    "Likelihoods",
    "Loss",
    "LowRank",
    "MdkifError",
    "Method",
    "Objective",
    "Optimizer",
    "Prediction",
    "Progress",
    "Record",
    "Router",
    "Skill",
    "SkillBank",
    "Source",
    "Space",
    "Surrogate",
    "Task",
    "Toolkit",
    "Trainer",
    "TrainingSettings",
    "annotate",
    "annotated",
    "answer_loss",
    "best",
    "choose",
    "chosen",
    "collate",
    "convert",
    "hashed_split",
    "hookimpl",
    "option_scores",
    "read_records",
    "reporting",
    "train",
    "whole_directory",
    "whole_file",
    "write_records",
]


def __getattr__(name: str) -> Any:
    if name == "reporting":
        return import_module(f"{__name__}.core.reporting")
    if name not in _LAZY:
        raise AttributeError(f"module 'mdkif' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.core.{_LAZY[name]}"), name)
