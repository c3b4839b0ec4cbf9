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
from .core.predictions import Prediction
from .core.progress import Progress
from .core.records import Record, read_records, write_records
from .core.splits import hashed_split
from .core.store import whole_directory, whole_file

if TYPE_CHECKING:
    from .core import reporting
    from .core.toolkit import Toolkit

__version__ = "0.1.0"

_LAZY = {"Toolkit": "toolkit"}

__all__ = [
    "BadInput",
    "BaseModel",
    "Candidate",
    "Command",
    "Conversion",
    "Dataset",
    "Evaluator",
    "Loss",
    "MdkifError",
    "Method",
    "Objective",
    "Optimizer",
    "Prediction",
    "Progress",
    "Record",
    "Router",
    "Skill",
    "Source",
    "Task",
    "Toolkit",
    "Trainer",
    "annotate",
    "annotated",
    "best",
    "choose",
    "chosen",
    "convert",
    "hashed_split",
    "hookimpl",
    "read_records",
    "reporting",
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
