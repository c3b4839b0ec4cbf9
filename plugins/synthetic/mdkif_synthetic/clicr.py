"""CliCR: `{train,dev,test}1.0.json`, case reports with queries in which an entity is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

from .files import json_array, write_pieces
from .knowledge import Condition, by_code, helps
from .marked import Marked, Mention, examined, given, joined, named, seen, tell
from .patients import Hospital, Patient
from .umls import Key, atoms, concepts
from .wording import person, pronoun, with_article

PLACEHOLDER = "@placeholder"
VERSION = "1.0 SYNTHETIC"


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write the three files into `folder`/CliCR and count the queries; a case is in one of them."""
    rng = hospital.random("clicr")
    count = max(10, len(hospital.patients) // 4)
    counts, start = {}, 0
    for split, size in (("train", count - 2 * (count // 10)), ("dev", count // 10), ("test", count // 10)):
        asked: list[int] = []
        cases = _cases(rng, hospital, range(start, start + size), asked)
        head = f'{{"version": "{VERSION}", "data": '
        write_pieces(folder / "CliCR" / f"{split}1.0.json", chain([head], json_array(cases), "}\n"))
        start, counts[f"clicr_{split}"] = start + size, sum(asked)
    return counts


def _cases(rng: Random, hospital: Hospital, numbers: range, asked: list[int]) -> Iterator[dict[str, Any]]:
    for number in numbers:
        source = f"synthetic.{number:06d}"
        document = _document(rng, hospital.patients[number], source)
        asked.append(len(document["qas"]))
        yield {"source": source, "document": document}


def _document(rng: Random, patient: Patient, source: str) -> dict[str, Any]:
    stay, who = patient.first, f"{patient.age(patient.first.admitted)}-year-old {person(patient)}"
    principal, *others = stay.diagnoses
    title = tell("{name} in {who}", name=named(rng, principal), who=with_article(who))
    background = [tell("{name} is {definition}.", name=named(rng, principal), definition=principal.definition)]
    case = [tell("{who} presented with {sign}.", who=with_article(who), sign=seen(rng, principal))]
    case += [tell("{she} also had {name}.", she=pronoun(patient), name=named(rng, other)) for other in others]
    qas: list[dict[str, Any]] = []
    treated = list(zip(stay.diagnoses, stay.drugs, strict=True))
    for condition, treatment in treated:
        drug, finding, name = given(treatment[0]), seen(rng, condition), named(rng, condition)
        case.append(tell("{finding} was noted.", finding=finding))
        case.append(tell("{exam} showed {test}.", exam=examined(condition), test=condition.test))
        case.append(tell("{drug} was given for {name}.", drug=drug, name=name))
        rest = [(other, names[0]) for other, names in treated if other is not condition]
        for query, answer in _queries(rng, condition, name, drug, rest):
            number = f"{source}.{len(qas) + 1}"
            qas.append({"query": query, "id": number, "answers": _answers(rng, answer)})
    context = f"BACKGROUND\n{_shown(joined(background))}\nCASE PRESENTATION\n{_shown(joined(case))}"
    return {"context": context, "title": _shown(title), "qas": qas}


def _queries(
    rng: Random, condition: Condition, name: Mention, drug: Mention, others: Sequence[tuple[Condition, str]]
) -> Iterator[tuple[str, Mention]]:
    """Learning points that nothing else in the report completes, neither the `others` nor the drugs given for them.

    A second line before the query proper, or a word glued to the placeholder, happen.
    """
    finding = seen(rng, condition)
    sentences = [(tell("Think of {gap} in patients with {finding}.", gap=PLACEHOLDER, finding=finding), name)]
    if not any(helps(drug.text, other) for other, _ in others):
        sentences.append((tell("{drug} can be used to treat {gap}.", drug=drug, gap=PLACEHOLDER), name))
    if not any(helps(own, condition) for _, own in others):
        sentences.append((tell("{gap} is an option in patients with {name}.", gap=PLACEHOLDER, name=name), drug))
    shared = {code for other, _ in others for code in other.causes}
    if effects := [by_code()[code] for code in condition.causes if code not in shared]:
        after = named(rng, rng.choice(effects))
        sentences.append((tell("{gap}-related {after} should be prevented.", gap=PLACEHOLDER, after=after), name))
    for sentence, answer in rng.sample(sentences, min(rng.choice((1, 2)), len(sentences))):
        above = "Learning points:\n" if rng.random() < 0.1 else ""
        yield above + _shown(sentence), answer


def _answers(rng: Random, answer: Mention) -> list[dict[str, str]]:
    """The original answer, which is not always the name that the report uses, and the other names in UMLS."""
    key: Key = answer.key
    names = sorted({atom.text for atom in atoms(key) if atom.language == "ENG"})
    original = answer.text if rng.random() < 0.85 else rng.choice(names)
    others = [name for name in names if name != original]
    return [
        {"text": text, "cui": concepts()[key], "sem_type": answer.type, "origin": origin}
        for text, origin in ((original, "dataset"), *((name, "UMLS") for name in others))
    ]


def _shown(marked: Marked) -> str:
    """The text with its entities marked as CliCR marks them."""
    return "".join(piece if isinstance(piece, str) else f"BEG__{piece.text}__END" for piece in marked)
