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
    def asked(self) -> str:
        """The question without case, punctuation and spacing."""
        return " ".join(re.findall(r"\w+", self.question.casefold()))

    @property
    def group(self) -> str:
        """The focus without case, punctuation and spacing: what is asked about one disease is alike."""
        return " ".join(re.findall(r"\w+", self.focus.casefold())) or self.focus
