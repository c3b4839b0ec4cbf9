"""WikiMed: `wikimed.json`, JSON lines of encyclopaedia articles whose mentions are linked to UMLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from .files import write_jsonl
from .knowledge import Condition, by_code, conditions, drugs, treats
from .marked import Marked, Mention, given, joined, located, named, plain, tell
from .patients import Hospital
from .umls import concepts, types, write_rrf
from .wording import capital

SPLITS = (*("train",) * 8, "valid", "test")
SHARE_UNLINKED = 0.04
SHARE_AMBIGUOUS = 0.05
DULL = ("The building has three floors.", "It was renovated twice.", "A tram stops nearby.", "The garden is public.")


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write `folder`/WikiMed: wikimed.json, of whose articles a few have no mention and some mentions have several
    CUIs, and the MRSTY.RRF that gives their types.
    """
    write_rrf(folder / "WikiMed" / "MRSTY.RRF", types())
    count = max(20, len(hospital.patients) // 2)
    return {"wikimed": write_jsonl(folder / "WikiMed" / "wikimed.json", _articles(hospital, count))}


def _articles(hospital: Hospital, count: int) -> Iterator[dict[str, Any]]:
    rng = hospital.random("wikimed")
    for number in range(count):
        title, text = _article(rng)
        yield {
            "_id": f"99{number:06d}",
            "title": title,
            "text": plain(text),
            "split": SPLITS[number % len(SPLITS)],
            "mentions": [
                {
                    "mention": mention.text,
                    "start_offset": start,
                    "end_offset": start + len(mention.text),
                    "link_id": _link(rng, mention),
                }
                for mention, start in located(text)
            ],
        }


def _article(rng: Random) -> tuple[str, Marked]:
    if rng.random() < SHARE_UNLINKED:
        return "Synthetic Hospital", joined([(sentence,) for sentence in rng.sample(DULL, 3)])
    if rng.random() < 0.7:
        condition = rng.choice(conditions())
        return capital(condition.name), _about_condition(rng, condition)
    drug = rng.choice(list(drugs()))
    return capital(drug), _about_drug(rng, drug)


def _about_condition(rng: Random, condition: Condition) -> Marked:
    """An opening and two to four further facts, so that articles differ in the types of what they mention."""
    this = Mention(condition.name, ("condition", condition.name))
    group = Mention(condition.parent, ("group", condition.parent))
    one, two = (Mention(finding, ("finding", finding)) for finding in rng.sample(condition.findings, 2))
    drug = given(rng.choice(condition.drugs))
    facts = [
        tell("In {name}, people often have {one} and {two}.", name=named(rng, condition), one=one, two=two),
        tell("{drug} is used to treat it.", drug=drug),
        tell("It concerns the {site}.", site=Mention(condition.site, ("site", condition.site))),
        tell("It is also known as {name}.", name=named(rng, condition)),
        *(tell("It can lead to {other}.", other=named(rng, by_code()[code])) for code in condition.causes[:1]),
    ]
    opening = tell("{this} is {definition}.", this=this, definition=condition.definition)
    kind = tell("{this}, a form of {group}, is well studied.", this=this, group=group)
    abroad = tell("{this} (Spanish: {spanish}) is described here.", this=this, spanish=condition.spanish or "–")
    return joined([rng.choice((opening, kind, abroad)), *rng.sample(facts, rng.randint(2, 4))])


def _about_drug(rng: Random, drug: str) -> Marked:
    known, uses = drugs()[drug], [("condition", condition.name) for condition in treats(drug)]
    use, kind = rng.choice(uses), Mention(known.drug_class, ("class", known.drug_class))
    facts = [
        tell("It is given for {use}.", use=Mention(use[1], use)),
        tell("One brand name is {brand}.", brand=Mention(rng.choice(known.brands), ("drug", drug))),
        ("Whoever takes it should tell the pharmacist.",),
    ]
    return joined([tell("{drug} belongs to the class {kind}.", drug=given(drug), kind=kind), *rng.sample(facts, 2)])


def _link(rng: Random, mention: Mention) -> str:
    """The CUI; of some conditions also that of their group, joined by a bar."""
    kind, name = mention.key
    if kind == "condition" and rng.random() < SHARE_AMBIGUOUS:
        group = next(condition.parent for condition in conditions() if condition.name == name)
        return f"{concepts()[mention.key]}|{concepts()['group', group]}"
    return concepts()[mention.key]
