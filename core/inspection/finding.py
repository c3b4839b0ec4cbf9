"""What was found: a rule about a subject, and what is wrong, if anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..contract.explanation import place
from ..errors import MdkifError


@dataclass(frozen=True)
class Finding:
    """A rule about a subject: whether it is kept and, if it is not or could not be checked, what to do.

    `records` is how many records the rule was checked on, where it is one about records.
    """

    subject: str
    rule: str
    state: Literal["kept", "broken", "not checked"] = "kept"
    remedy: str = ""
    records: int = 0


def finding(subject: str, rule: str, problems: Callable[[], Iterable[str]], module: str = "") -> Finding:
    """Kept unless `problems` yields one, of which the first is told, or raises an exception in `module`'s code."""
    try:
        problem = next(iter(problems()), "")
    except (Exception, SystemExit) as error:  # whatever a plugin's code does, the check of the next rule goes on
        problem = told(error, module)
    return Finding(subject, rule, "broken", problem) if problem else Finding(subject, rule)


def findings(subject: str, rules: Mapping[str, Callable[..., Iterable[str]]], *given: Any) -> Iterator[Finding]:
    """What each of several rules finds in the same thing; it is checked when the finding is asked for."""
    for rule, problems in rules.items():
        yield finding(subject, rule, lambda p=problems: p(*given))  # type: ignore[misc]


def told(error: BaseException, module: str = "") -> str:
    """An error as a problem with its remedy; what is no sentence of ours is told by kind and place alone."""
    if isinstance(error, MdkifError):
        return str(error)
    where = f" at {place(error, module)}" if module else ""
    return f"It raised {type(error).__name__}{where}: catch it, or raise BadInput with a remedy."
