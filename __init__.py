"""mdkif: turn a frozen general LLM into a medical one, skill by skill.

The public API. Importing it is light: names that need more are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .core.contract.declarations import BaseModel, Command, Dataset, Evaluator, Router, Skill, Source, Task, Trainer
from .core.contract.hookspecs import hookimpl
from .core.data.conversion import Conversion, convert
from .core.data.labels import annotate, annotated, choose, chosen
from .core.data.record_files import read_records, write_records
from .core.data.records import Record
from .core.data.splits import hashed_split
from .core.errors import BadInput, MdkifError
from .core.inference.predictions import Likelihoods, Prediction
from .core.progress import Progress
from .core.routing.optimizer import Candidate, Objective, Optimizer, best
from .core.store.files import whole_directory, whole_file
from .core.training.method import Loss, Method

if TYPE_CHECKING:
    from .core.adapters.bank import SkillBank
    from .core.adapters.low_rank import LowRank
    from .core.console import tables as reporting
    from .core.inference.likelihood import answer_loss
    from .core.inference.scoring import option_scores
    from .core.models.base import Base
    from .core.prompts.batching import Batch, collate
    from .core.prompts.encoding import Encoded
    from .core.routing.surrogate import Surrogate
    from .core.routing.weights import Space
    from .core.toolkit import Toolkit
    from .core.training.loop import train
    from .core.training.settings import TrainingSettings

__version__ = "0.1.0"

_LAZY = {
    "Base": "models.base",
    "Batch": "prompts.batching",
    "Encoded": "prompts.encoding",
    "LowRank": "adapters.low_rank",
    "SkillBank": "adapters.bank",
    "Space": "routing.weights",
    "Surrogate": "routing.surrogate",
    "Toolkit": "toolkit",
    "TrainingSettings": "training.settings",
    "answer_loss": "inference.likelihood",
    "collate": "prompts.batching",
    "option_scores": "inference.scoring",
    "train": "training.loop",
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
        return import_module(f"{__name__}.core.console.tables")
    if name not in _LAZY:
        raise AttributeError(f"module 'mdkif' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.core.{_LAZY[name]}"), name)
