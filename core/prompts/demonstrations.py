"""In-context learning (Brown et al., 2020): solved records before every prompt, drawn by a seed, none of them cut."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..data.records import Record
from ..errors import BadInput
from .encoding import Encoder
from .templates import Instruction

QUESTION = Instruction("?", "", "")


@dataclass(frozen=True)
class Demonstrated:
    """An encoder whose prompts begin with `records`, and how many tokens longer that makes every prompt."""

    encoder: Encoder
    records: Sequence[Record]
    tokens: int


def demonstrated(encoder: Encoder, records: Sequence[Record], budget: int, seed: int) -> Demonstrated:
    """As many of the records as fit into `budget` tokens, as demonstrations, drawn by the seed.

    Where all list the same options the labels take turns, up to the one in which records of a label are left and none
    of them fits. The prompts' own room stays what it was. Raises BadInput where not one fits, or where the model reads
    fewer tokens than prompts with so many demonstrations may have.
    """
    bare = encoder.prompt_length(QUESTION)
    chosen: list[Record] = []
    solved: tuple[Instruction, ...] = ()
    tokens, strata, full = 0, _strata(records, seed), False
    while any(strata) and not full:
        for stratum in filter(None, strata):
            for record in stratum:
                tried = (*solved, encoder.template.render(record))
                longer = replace(encoder, demonstrations=tried).prompt_length(QUESTION) - bare
                if longer <= budget:
                    stratum.remove(record)
                    chosen.append(record)
                    solved, tokens = tried, longer
                    break
            else:
                full = True
    if not chosen:
        raise BadInput(
            f"None of {len(records)} records fits into {budget} tokens as a demonstration: raise the budget."
        )
    length = encoder.max_length + tokens
    window = getattr(encoder.base.model.config.get_text_config(), "max_position_embeddings", length)
    if length > window:
        raise BadInput(
            f"'{encoder.base.name}' reads {window} tokens, and prompts with demonstrations may have {length}: lower "
            "the budget, or --max-length."
        )
    return Demonstrated(replace(encoder, max_length=length, counts=Counter(), demonstrations=solved), chosen, tokens)


def _strata(records: Sequence[Record], seed: int) -> list[list[Record]]:
    """All records in a random order, those of each label by themselves where all list the same options."""
    order = list(records)
    random.Random(f"demonstrations:{seed}").shuffle(order)
    alike = len({record.options for record in order}) == 1
    strata: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in order:
        strata[record.labels if alike else ()].append(record)
    return list(strata.values())
