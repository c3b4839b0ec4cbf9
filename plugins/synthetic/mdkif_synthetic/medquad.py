"""MedQuAD: twelve folders of XML files under their official names, with the odd files readers trip over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

from .files import write_text
from .knowledge import Condition, conditions, drugs
from .patients import Hospital
from .umls import concepts, semantic_type
from .wording import capital, listed

FOLDERS = {
    1: ("1_CancerGov_QA", "CancerGov"),
    2: ("2_GARD_QA", "GARD"),
    3: ("3_GHR_QA", "GHR"),
    4: ("4_MPlus_Health_Topics_QA", "MPlusHealthTopics"),
    5: ("5_NIDDK_QA", "NIDDK"),
    6: ("6_NINDS_QA", "NINDS"),
    7: ("7_SeniorHealth_QA", "NIHSeniorHealth"),
    8: ("8_NHLBI_QA_XML", "NHLBI"),
    9: ("9_CDC_QA", "CDC"),
    10: ("10_MPlus_ADAM_QA", "ADAM"),
    11: ("11_MPlusDrugs_QA", "MPlusDrugs"),
    12: ("12_MPlusHerbsSupplements_QA", "MPlusHerbsSupplements"),
}
SAYS_SO = "SYNTHETIC: written by 'mdkif synth', not by the source named here"
HERBS = ("Garlic", "Ginger", "Green Tea")
WITH_CATEGORY, WITH_SYNONYMS = {4, 10, 11, 12}, {2, 3, 4, 10}

Pair = tuple[str, str, str]
"""A question's type, the question and its answer."""


def write(folder: Path, hospital: Hospital) -> dict[str, int]:
    """Write all folders into `folder`/MedQuAD and count pairs, and those with an answer."""
    rng, written, pairs = hospital.random("medquad"), Counter[int](), list[Pair]()

    def save(number: int, focus: str, asked: Sequence[Pair], condition: Condition | None = None) -> None:
        written[number] += 1
        name, source = FOLDERS[number]
        identity = f"{written[number]:07d}" + ("_1" if number == 1 else "")
        head = identity, source, f"https://example.org/synthetic/{source.lower()}/{identity}"
        oldest = written[number] == 1
        if number == 6 and oldest:
            text = _legacy(head, focus, asked)
        elif number == 9:
            text = _disease_file(head, focus, asked, "DiseaseFile" if oldest else "Document")
        else:
            text = _document(number, head, focus, asked, condition)
        write_text(folder / "MedQuAD" / name / f"{identity}.xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}')
        pairs.extend(asked)

    for condition in conditions():
        save(condition.library, condition.name, _explained(rng, condition), condition)
    for condition in rng.sample(conditions(), 6):
        save(10, condition.name, [(kind, question, "") for kind, question, _ in _explained(rng, condition)], condition)
    for drug in rng.sample(list(drugs()), 6):
        asked = f"Who should get {capital(drug)} and why is it prescribed ?"
        save(11, capital(drug), [("indication", asked, ""), ("usage", f"How should {capital(drug)} be used ?", "")])
    for herb in HERBS:
        save(12, herb, [("information", f"What is {herb} ?", "")])
    save(5, "kidney biopsy", [])
    return {"medquad": len(pairs), "medquad_answered": sum(bool(answer) for _, _, answer in pairs)}


def _explained(rng: Random, condition: Condition) -> list[Pair]:
    name = capital(condition.name)
    findings = listed(rng.sample(condition.findings, 3))
    treatments = listed(rng.sample(condition.drugs, len(condition.drugs)))
    also = listed(rng.sample(condition.synonyms, 2), "or")
    information = rng.choice(
        (
            f"{name} is {condition.definition}. It is also called {also}.",
            f"{name}, also known as {also}, is {condition.definition}.",
            f"{name} is {condition.definition}. It is a kind of {condition.parent}.",
        )
    )
    symptoms = rng.choice(
        (
            f"Typical signs of {condition.name} are {findings}.",
            f"People with {condition.name} may have {findings}.",
            f"Common features include {findings}.  A work-up may show {condition.test}.",
        )
    )
    treatment = rng.choice(
        (
            f"{name} is often treated with {treatments}.",
            f"Medicines used for {condition.name} include {treatments}.",
            f"Doctors may prescribe {treatments}.\nTreatment depends on the person.",
        )
    )
    return [
        ("information", f"What is (are) {name} ?", information),
        ("symptoms", f"What are the symptoms of {name} ?", symptoms),
        ("treatment", f"What are the treatments for {name} ?", treatment),
    ]


Head = tuple[str, str, str]
"""Identity, source and address of a document."""


def _document(number: int, head: Head, focus: str, asked: Sequence[Pair], condition: Condition | None) -> str:
    """The usual schema; categories, synonyms and UMLS annotations only in the folders that have them."""
    lines = [f'<Document id="{head[0]}" source="{head[1]}" url="{head[2]}">', f"<!--{SAYS_SO}-->"]
    lines += [f"<Focus>{escape(focus)}</Focus>", "<FocusAnnotations>"]
    if number in WITH_CATEGORY:
        lines.append(f"\t<Category>{'Disease' if condition else 'Drug'}</Category>")
    if condition:
        key = ("condition", condition.name)
        cui, (tui, _, _) = concepts()[key], semantic_type(key)
        lines += ["\t<UMLS>", f"\t\t<CUIs>\n\t\t\t<CUI>{cui}</CUI>\n\t\t</CUIs>"]
        lines += [f"\t\t<SemanticTypes>\n\t\t\t<SemanticType>{tui}</SemanticType>\n\t\t</SemanticTypes>"]
        lines += ["\t\t<SemanticGroup>Disorders</SemanticGroup>", "\t</UMLS>"]
        if number in WITH_SYNONYMS:
            synonyms = "".join(f"\t\t<Synonym>{escape(synonym)}</Synonym>\n" for synonym in condition.synonyms)
            lines.append(f"\t<Synonyms>\n{synonyms}\t</Synonyms>")
    return "\n".join([*lines, "</FocusAnnotations>", _asked(head, asked), "</Document>\n"])


def _disease_file(head: Head, focus: str, asked: Sequence[Pair], root: str) -> str:
    """9_CDC_QA: no FocusAnnotations, a bare UMLS element, and one file whose root is DiseaseFile."""
    key = "fid" if root == "DiseaseFile" else "id"
    return (
        f'<{root} {key}="{head[0]}" source="{head[1]}" url="{head[2]}">\n'
        f"<!--{SAYS_SO}-->\n<Focus>{escape(focus)}</Focus>\n"
        "<UMLS>\n<CUI></CUI>\n<SemanticType></SemanticType>\n<SemanticGroup></SemanticGroup>\n</UMLS>\n"
        f"{_asked(head, asked)}\n</{root}>\n"
    )


def _legacy(head: Head, focus: str, asked: Sequence[Pair]) -> str:
    """Four files of 6_NINDS_QA still have an older schema in lower case; here it is one."""
    pairs = "".join(
        f'<pair pid="{pid}">\n<question qid="{head[0]}-{pid}" qtype="{kind}">{escape(question)}</question>\n'
        f"<answer>{escape(answer)}</answer>\n</pair>\n"
        for pid, (kind, question, answer) in enumerate(asked, 1)
    )
    return (
        f'<doc docid="{head[0]}" corpus="{head[1]}" url="{head[2]}">\n<!--{SAYS_SO}-->\n'
        f"<doctitle-focus>{escape(focus)}</doctitle-focus>\n"
        "<umls>\n<cui></cui>\n<semanticType></semanticType>\n<semanticGroup></semanticGroup>\n</umls>\n"
        f"<qaPairs>\n{pairs}</qaPairs>\n</doc>\n"
    )


def _asked(head: Head, asked: Sequence[Pair]) -> str:
    """The QAPairs element; `pid` skips numbers, as it does in the official files."""
    pairs = "".join(
        f'\t<QAPair pid="{pid}">\n\t\t\t<Question qid="{head[0]}-{pid}" qtype="{kind}">{escape(question)}</Question>\n'
        f"\t\t\t<Answer>{escape(answer)}</Answer>\n\t</QAPair>\n"
        for pid, (kind, question, answer) in zip((1, 2, 4), asked, strict=False)
    )
    return f"<QAPairs>\n{pairs}</QAPairs>"
