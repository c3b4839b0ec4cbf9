"""emrQA: `data.json` with the sets medication, relations, risk-dataset, smoking and obesity, in this order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any
from xml.sax.saxutils import escape

from .annotated import Annotated, Concept, Line, annotate
from .files import json_array, write_pieces
from .i2b2 import notes
from .knowledge import by_code, drugs
from .marked import Mention, given, named, tell
from .notes import discharge_summary
from .patients import Admission, Hospital

TEMPLATES = {
    "dosage": ("What is the dosage of |x|?", "How much |x| does the patient take?"),
    "reason": ("Why is the patient on |x|?", "What is |x| prescribed for?", "Why was |x| started?"),
    "therapy": ("What is the patient taking for |x|, and how much?", "Which drug and dose is given for |x|?"),
    "ever": ("Has the patient ever been on |x|?", "Is there a history of taking |x|?"),
    "TeRP": ("What did |x| show?", "What was the result of |x|?"),
    "TrAP": ("What was |x| given for?", "Why did the patient receive |x|?"),
    "TrIP": ("What improved on |x|?", "What did |x| help against?"),
    "risk": ("Does the patient have |x|?", "Is |x| a risk factor of this patient?"),
    "smoking": ("What is the patient's smoking status?", "Does the patient smoke?"),
    "obesity": ("Does the patient have |x|?", "Is the patient diagnosed with |x|?"),
}
"""The paraphrases of each question."""

RISKS = ("4019", "25000", "2724", "41401")
SMOKING = {
    "CURRENT SMOKER": "Smokes one pack a day.",
    "PAST SMOKER": "Quit smoking ten years ago.",
    "NON-SMOKER": "Has never smoked.",
    "UNKNOWN": "Has two children.",
}
JUDGED = {"49390": "Asthma", "41401": "CAD", "4280": "CHF", "311": "Depression", "25000": "Diabetes",
          "57420": "Gallstones", "53081": "GERD", "2749": "Gout", "4019": "Hypertension", "71590": "OA"}  # fmt: skip
"""The names that the obesity challenge has for comorbidities."""

Question = dict[str, Any]


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write `folder`/emrQA/data.json, note by note, and count notes and questions.

    Contexts are lists of lines for the first three sets, with line ends for the first two, and else text.
    """
    counts = {"emrqa_notes": 0, "emrqa_questions": 0}

    def counted(paragraphs: Iterator[Question]) -> Iterator[Question]:
        for paragraph in paragraphs:
            counts["emrqa_notes"] += 1
            counts["emrqa_questions"] += sum(len(qa["question"]) for qa in paragraph["qas"])
            yield paragraph

    sets = {
        "medication": _medication(hospital),
        "relations": _relations(hospital),
        "risk-dataset": _risk(hospital),
        "smoking": _smoking(hospital),
        "obesity": _obesity(hospital),
    }
    pieces = (
        piece
        for number, (title, paragraphs) in enumerate(sets.items())
        for piece in chain(
            [f'{", " if number else ""}{{"title": "{title}", "paragraphs": '], json_array(counted(paragraphs)), "}"
        )
    )
    write_pieces(folder / "emrQA" / "data.json", chain(['{"data": ['], pieces, "]}\n"))
    return counts


def _medication(hospital: Hospital) -> Iterator[Question]:
    """One line for each drug, with its dose and reason; the answers of `therapy` are complex, of `ever` empty."""
    rng = hospital.random("emrqa medication")
    for patient in hospital.patients[::4]:
        stay = patient.first
        lines = [Line(("SYNTHETIC RECORD, NO REAL PATIENT.",)), Line(("MEDICATIONS:",))]
        for condition, treatment in zip(stay.diagnoses, stay.drugs, strict=True):
            drug = drugs()[treatment[0]]
            dose = Mention(f"{drug.dose} {drug.unit}", ("dose", drug.name))
            name = named(rng, condition)
            lines.append(Line(tell("{drug} {dose} for {name}.", drug=given(drug.name), dose=dose, name=name)))
        note = annotate(str(stay.id), lines)
        qas = []
        for drugged, dosed, reason in zip(*(iter(note.concepts),) * 3, strict=True):
            qas.append(_asked("dosage", drugged.text, [_single(note, dosed)]))
            qas.append(_asked("reason", drugged.text, [_single(note, reason)]))
            qas.append(_asked("ever", drugged.text, [_empty(note, drugged)]))
            qas.append(_asked("therapy", reason.text, [_complex(note, [drugged, dosed])]))
        yield {"note_id": note.name, "context": _lines(note), "qas": _once(qas)}


def _relations(hospital: Hospital) -> Iterator[Question]:
    """The notes of i2b2, asked for the second concept of their relations."""
    for note in notes(hospital):
        qas = [
            _asked(relation, one.text, [_single(note, two)])
            for one, relation, two in note.relations
            if relation in TEMPLATES
        ]
        yield {"note_id": note.name, "context": _lines(note), "qas": _once(qas)}


def _risk(hospital: Hospital) -> Iterator[Question]:
    """Asked for evidence only; special characters are HTML entities, as in the XML files of the challenge."""
    rng = hospital.random("emrqa risk")
    for patient in hospital.patients[::4]:
        stay = patient.first
        risks = [condition for condition in stay.diagnoses if condition.code in RISKS]
        shown = [Line(tell("blood glucose > 60 & {name}.", name=named(rng, condition))) for condition in risks]
        note = annotate(str(stay.id), [Line(("SYNTHETIC RECORD, NO REAL PATIENT.",)), *shown])
        note.lines = [escape(line, {'"': "&quot;", "'": "&apos;"}) for line in note.lines]
        qas = [
            _asked("risk", condition.name, [_empty(note, concept, "")])
            for condition, concept in zip(risks, note.concepts, strict=True)
        ]
        yield {"note_id": note.name, "context": note.lines, "qas": qas}


def _smoking(hospital: Hospital) -> Iterator[Question]:
    rng = hospital.random("emrqa smoking")
    for patient in hospital.patients[::5]:
        status, said = rng.choice(list(SMOKING.items()))
        context = f"{discharge_summary(rng, patient, patient.first)}\nSocial History:\n{said}\n"
        yield {"note_id": str(patient.first.id), "context": context, "qas": [_asked("smoking", "", [_class(status)])]}


def _obesity(hospital: Hospital) -> Iterator[Question]:
    """Asked for one comorbidity that the patient has, and one that the note does not mention."""
    rng = hospital.random("emrqa obesity")
    for patient in hospital.patients[::5]:
        context = discharge_summary(rng, patient, patient.first)
        asked = _judged(rng, context, patient.first)
        qas = [_asked("obesity", name, [_class(judgement)]) for name, judgement in asked]
        yield {"note_id": str(patient.first.id), "context": context, "qas": qas}


def _judged(rng: Random, context: str, stay: Admission) -> Iterator[tuple[str, str]]:
    present = {condition.code for condition in stay.diagnoses}
    for code in sorted(present & JUDGED.keys())[:1]:
        yield JUDGED[code], "yes"
    text = " ".join(context.split())
    unknown = [
        name
        for code, name in JUDGED.items()
        if code not in present and not any(word in text for word in (*by_code()[code].synonyms, *by_code()[code].signs))
    ]
    yield rng.choice(unknown), "UNK"


def _asked(template: str, thing: str, answers: Sequence[Question]) -> Question:
    pairs = [[question.replace("|x|", thing), question] for question in TEMPLATES[template]]
    return {"question": [question for question, _ in pairs], "id": [pairs, template], "answers": list(answers)}


def _once(qas: Sequence[Question]) -> list[Question]:
    """The questions, each once, with all its answers: a drug may be given for two conditions."""
    found: dict[str, Question] = {}
    for qa in qas:
        asked = found.setdefault(qa["question"][0], {**qa, "answers": []})
        asked["answers"] += qa["answers"]
    return list(found.values())


def _lines(note: Annotated) -> list[str]:
    return [f"{line}\n" for line in note.lines]


def _single(note: Annotated, concept: Concept) -> Question:
    return {
        "answer_start": [concept.line, concept.first],
        "text": concept.text,
        "evidence": f"{note.lines[concept.line - 1]}\n",
        "evidence_start": concept.line,
        "answer_entity_type": "single",
    }


def _empty(note: Annotated, concept: Concept, end: str = "\n") -> Question:
    evidence = note.lines[concept.line - 1] + end
    place = {"answer_start": [concept.line, ""], "text": "", "evidence": evidence, "evidence_start": concept.line}
    return {**place, "answer_entity_type": "empty"}


def _complex(note: Annotated, concepts: Sequence[Concept]) -> Question:
    one = [_single(note, concept) for concept in concepts]
    return {key: [answer[key] for answer in one] for key in one[0]} | {"answer_entity_type": "complex"}


def _class(text: str) -> Question:
    return {"answer_start": "", "text": text, "evidence": "", "evidence_start": ""}
