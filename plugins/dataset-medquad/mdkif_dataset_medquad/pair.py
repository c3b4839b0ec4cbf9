"""One answered question of MedQuAD."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A question of type `qtype` about a `focus` (a disease or drug, with its other names), with its answer."""

    id: str
    source: str
    focus: str
    synonyms: tuple[str, ...]
    qtype: str
    question: str
    answer: str

    @property
    def group(self) -> str:
        """The question without case, punctuation and spacing."""
        return " ".join(re.findall(r"\w+", self.question.casefold()))
