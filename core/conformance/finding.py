"""What a check found: a rule about a subject, and what is wrong, if anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ..errors import MdkifError


@dataclass(frozen=True)
class Finding:
    """A rule about a subject: whether it is kept and, if it is not or could not be checked, what to do."""

    subject: str
    rule: str
    state: Literal["kept", "broken", "not checked"] = "kept"
    remedy: str = ""


def finding(subject: str, rule: str, problems: Callable[[], Iterable[str]]) -> Finding:
    """Kept unless `problems` yields one, of which the first is told, or raises an exception."""
    try:
        problem = next(iter(problems()), "")
    except MdkifError as error:
        problem = str(error)
    except Exception as error:  # whatever a plugin's code does, the check of the next rule goes on
        problem = f"It raised {type(error).__name__}: catch it, or raise BadInput with a remedy."
    return Finding(subject, rule, "broken", problem) if problem else Finding(subject, rule)
