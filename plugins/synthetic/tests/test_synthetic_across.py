"""One patient is the same in every data set: who it is, when it came, what it had and what it was given."""

import csv
import gzip
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from mdkif_synthetic import Written, generate
from mdkif_synthetic.knowledge import by_code, conditions, drugs
from mdkif_synthetic.notes import HINT

NAMES = {name.lower(): c.code for c in conditions() for name in (c.name, *c.synonyms)}
NAMED = re.compile(
    rf"(?<![\w-])({'|'.join(map(re.escape, sorted(NAMES, key=len, reverse=True)))})(?![\w-])", re.IGNORECASE
)
WHO = re.compile(r"(\d+)[ -]year[ -]old (woman|man)")
SEX = {"woman": "F", "man": "M"}


@dataclass
class Stay:
    """What the tables of MIMIC-III say of an admission."""

    patient: str
    sex: str
    born: date
    admitted: datetime
    left: datetime
    died: bool
    codes: set[str] = field(default_factory=set)
    given: dict[str, str] = field(default_factory=dict)

    @property
    def age(self) -> int:
        return (self.admitted.year - self.born.year) - (
            (self.admitted.month, self.admitted.day) < (self.born.month, self.born.day)
        )


def table(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def coded(text: str) -> set[str]:
    """The codes of the conditions that a text names, tokenised or not."""
    plain = text.replace(" 's", "'s").replace(" %", "%").replace(" ,", ",")
    return {NAMES[name.lower()] for name in NAMED.findall(plain)}


def drug(text: str) -> str:
    """A drug as the table of drugs names it."""
    plain = text.lower().replace(" 's", "'s").replace(" %", "%")
    (name,) = [name for name in drugs() if name.lower() == plain]
    return name


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return generate(tmp_path_factory.mktemp("synthetic") / "hospital", seed=21, patients=160)


@pytest.fixture(scope="module")
def older(written) -> dict[str, list[dict[str, str]]]:
    return {path.name.partition(".")[0]: table(path) for path in written["mimic-iii"].glob("*.csv.gz")}


@pytest.fixture(scope="module")
def stays(older) -> dict[str, Stay]:
    """The admissions by HADM_ID."""
    people = {row["SUBJECT_ID"]: row for row in older["PATIENTS"]}
    found = {
        row["HADM_ID"]: Stay(
            patient=row["SUBJECT_ID"],
            sex=people[row["SUBJECT_ID"]]["GENDER"],
            born=datetime.fromisoformat(people[row["SUBJECT_ID"]]["DOB"]).date(),
            admitted=datetime.fromisoformat(row["ADMITTIME"]),
            left=datetime.fromisoformat(row["DISCHTIME"]),
            died=row["HOSPITAL_EXPIRE_FLAG"] == "1",
        )
        for row in older["ADMISSIONS"]
    }
    for row in older["DIAGNOSES_ICD"]:
        found[row["HADM_ID"]].codes |= {row["ICD9_CODE"]} - {""}
    for row in older["PRESCRIPTIONS"]:
        if row["DRUG_TYPE"] == "MAIN":
            found[row["HADM_ID"]].given[drug(row["DRUG"])] = f"{row['DOSE_VAL_RX']} {row['DOSE_UNIT_RX']}"
    return found


@pytest.fixture(scope="module")
def firsts(stays) -> list[tuple[str, Stay]]:
    """The first admission of each patient, in order."""
    found: dict[str, tuple[str, Stay]] = {}
    for number, stay in stays.items():
        found.setdefault(stay.patient, (number, stay))
    return list(found.values())


def who(text: str) -> tuple[int, str]:
    (age, person), *others = set(WHO.findall(text))
    assert not others
    return int(age), SEX[person]


# Notes


def reports(older: dict[str, list[dict[str, str]]]) -> Iterator[dict[str, str]]:
    for row in older["NOTEEVENTS"]:
        if row["CATEGORY"] == "Discharge summary" and row["DESCRIPTION"] == "Report" and not row["ISERROR"]:
            yield row


def test_synthetic_head_of_a_report_is_what_the_tables_say(older, stays):
    for row in reports(older):
        stay = stays[row["HADM_ID"]]
        day, month = r"\[\*\*(\d+)-(\d+)-(\d+)\*\*\]", row["TEXT"]
        found = re.search(
            rf"Admission Date:  {day} +Discharge Date:  {day}\s+Date of Birth:  {day} +Sex:  ([FM])", month
        )
        assert found
        *numbers, sex = found.groups()
        dates = [date(*map(int, numbers[place : place + 3])) for place in (0, 3, 6)]
        assert dates == [stay.admitted.date(), stay.left.date(), stay.born]
        assert sex == stay.sex
        assert row["CHARTDATE"] == str(stay.left.date())
        for age, person in WHO.findall(" ".join(row["TEXT"].split())):
            assert (int(age), SEX[person]) == (stay.age, stay.sex)
        assert ("expired" in row["TEXT"]) == stay.died


def test_synthetic_addenda_are_about_drugs_of_the_stay_and_none_of_the_dead_is_discharged(older, stays):
    addenda = [row for row in older["NOTEEVENTS"] if row["DESCRIPTION"] == "Addendum"]
    assert len(addenda) >= 5
    for row in addenda:
        text = " ".join(row["TEXT"].split())
        name, rest = re.findall(r"The dose of (.*) was confirmed with the pharmacy(.*)\.$", text)[0]
        assert drug(name) in stays[row["HADM_ID"]].given
        assert rest == ("" if stays[row["HADM_ID"]].died else " before discharge")


def test_synthetic_notes_of_the_ward_tell_of_the_stay(older, stays):
    """A nurse gives what is prescribed; findings, tests and names are of a coded condition."""
    kinds = set()
    of_patient = defaultdict[str, set[str]](set)
    for stay in stays.values():
        of_patient[stay.patient] |= stay.codes
    for row in older["NOTEEVENTS"]:
        if row["CATEGORY"] == "Discharge summary":
            continue
        kinds.add((row["CATEGORY"], bool(row["HADM_ID"])))
        text = " ".join(row["TEXT"].split())
        codes = stays[row["HADM_ID"]].codes if row["HADM_ID"] else of_patient[row["SUBJECT_ID"]]
        if row["CATEGORY"] == "Nursing":
            seen, name = re.findall(r"Reports (.*)\. (.*) given\.$", text)[0]
            assert any(seen in by_code()[code].findings for code in codes)
            assert drug(name) in stays[row["HADM_ID"]].given
        elif row["CATEGORY"] == "Radiology":
            seen, shown = re.findall(r"INDICATION: (.*)\. FINDINGS: Study shows (.*)\.$", text)[0]
            assert any(seen in by_code()[code].findings and by_code()[code].test == shown for code in codes)
        else:
            assert coded(text) <= codes
            assert who(text)[1] == next(s.sex for s in stays.values() if s.patient == row["SUBJECT_ID"])
        if row["HADM_ID"]:
            at, stay = datetime.fromisoformat(row["CHARTTIME"]), stays[row["HADM_ID"]]
            assert stay.admitted < at < stay.left
            assert row["CHARTDATE"] == str(at.date())
    assert kinds == {("Nursing", True), ("Radiology", True), ("Physician ", True), ("Physician ", False)}


# i2b2


def test_synthetic_i2b2_tells_of_the_stay_it_is_named_after(written, firsts):
    numbers = dict(firsts)
    found = sorted(written["i2b2"].rglob("record-*.con"))
    assert [path.stem for path in found if path.stem.removeprefix("record-") not in numbers] == []
    assert len(found) == len(firsts[::3])
    for path in found:
        stay = numbers[path.stem.removeprefix("record-")]
        (note,) = written["i2b2"].rglob(f"{path.stem}.txt")
        lines = note.read_text(encoding="utf-8").splitlines()
        assert lines[2] == str(stay.admitted.date())
        assert who(note.read_text(encoding="utf-8")) == (stay.age, stay.sex)
        told = defaultdict[str, set[str]](set)
        for row in (path.parents[1] / "ast" / f"{path.stem}.ast").read_text(encoding="utf-8").splitlines():
            text, status = re.findall(r'^c="(.*)" .*\|\|a="(.*)"$', row)[0]
            told[status] |= coded(text)
        assert told["present"] | told["possible"] == stay.codes
        assert not (told["absent"] | told["associated_with_someone_else"]) & stay.codes
        treatments = re.findall(r'c="(.*)" .*\|\|t="treatment"', path.read_text(encoding="utf-8"))
        assert {drug(text) for text in treatments} <= stay.given.keys()


# emrQA


@pytest.fixture(scope="module")
def emrqa(written) -> dict[str, list[dict[str, Any]]]:
    data = json.loads(written["emrqa"].read_text(encoding="utf-8"))["data"]
    return {part["title"]: part["paragraphs"] for part in data}


def test_synthetic_emrqa_medication_lists_the_diagnoses_with_a_drug_and_its_dose(emrqa, stays, firsts):
    assert [note["note_id"] for note in emrqa["medication"]] == [number for number, _ in firsts[::4]]
    for note in emrqa["medication"]:
        stay = stays[note["note_id"]]
        told = dict[str, str]()
        for line in note["context"][2:]:
            name, dose, reason = re.findall(r"^(.*) (\S+ \S+) for (.*) \.$", line.strip())[0]
            assert stay.given[drug(name)].replace("%", " %") == dose
            (code,) = coded(reason)
            assert drug(name) in by_code()[code].drugs
            told[code] = name
        assert told.keys() == stay.codes


def test_synthetic_emrqa_asks_for_the_risks_that_are_coded(emrqa, stays):
    risks, asked = {"4019", "25000", "2724", "41401"}, 0
    for note in emrqa["risk-dataset"]:
        names = {qa["question"][0].removeprefix("Does the patient have ").removesuffix("?") for qa in note["qas"]}
        assert {NAMES[name] for name in names} == stays[note["note_id"]].codes & risks
        asked += len(names)
    assert asked > 20


def test_synthetic_emrqa_smoking_and_obesity_are_about_reports_of_the_stay(emrqa, stays, firsts):
    for title in ("smoking", "obesity"):
        assert [note["note_id"] for note in emrqa[title]] == [number for number, _ in firsts[::5]]
        for note in emrqa[title]:
            stay = stays[note["note_id"]]
            text = " ".join(note["context"].split())
            assert f"Sex: {stay.sex}" in text
            assert all((int(age), SEX[person]) == (stay.age, stay.sex) for age, person in WHO.findall(text))
            listed = re.findall(r"^\d+\. (.*?) [\d.]+ \S+ [A-Z]+ [A-Z]+$", note["context"], re.MULTILINE)
            assert {drug(name) for name in listed} <= stay.given.keys()


def test_synthetic_emrqa_smoking_says_what_is_the_answer_and_nothing_against_it(emrqa):
    said = {"CURRENT SMOKER": "Smokes", "PAST SMOKER": "Quit smoking", "NON-SMOKER": "Has never smoked"}
    for note in emrqa["smoking"]:
        history = note["context"].rpartition("Social History:\n")[2]
        found = [status for status, words in said.items() if words in history] or ["UNKNOWN"]
        assert found == [answer["text"] for qa in note["qas"] for answer in qa["answers"]]
        # The report may end a sentence earlier that its patient lives alone.
        assert not (HINT in " ".join(note["context"].split()) and re.search(r"[Ll]ives with", history))


def test_synthetic_emrqa_obesity_judges_as_the_codes_do(emrqa, stays):
    judged = {
        "Asthma": "49390", "CAD": "41401", "CHF": "4280", "Depression": "311", "Diabetes": "25000",
        "Gallstones": "57420", "GERD": "53081", "Gout": "2749", "Hypertension": "4019", "OA": "71590",
    }  # fmt: skip
    answers = set()
    for note in emrqa["obesity"]:
        text = " ".join(note["context"].split()).lower()
        for qa in note["qas"]:
            code = judged[qa["question"][0].removeprefix("Does the patient have ").removesuffix("?")]
            (answer,) = (answer["text"] for answer in qa["answers"])
            assert (answer == "yes") == (code in stays[note["note_id"]].codes)
            if answer == "UNK":
                words = (*by_code()[code].synonyms, *by_code()[code].signs)
                assert not [word for word in words if re.search(rf"(?<![\w-]){re.escape(word.lower())}(?![\w-])", text)]
            answers.add(answer)
    assert answers == {"yes", "UNK"}


# Texts without a number of an admission


def known(firsts: list[tuple[str, Stay]]) -> set[tuple[int, str, str]]:
    """Age, sex and code of whoever came."""
    return {(stay.age, stay.sex, code) for _, stay in firsts for code in stay.codes}


def test_synthetic_clicr_reports_the_first_stays(written, firsts):
    for split in ("train", "dev", "test"):
        for case in json.loads((written["clicr"] / f"{split}1.0.json").read_text(encoding="utf-8"))["data"]:
            _, stay = firsts[int(case["source"].removeprefix("synthetic."))]
            document = case["document"]
            assert who(document["title"] + document["context"]) == (stay.age, stay.sex)
            pairs = re.findall(r"BEG__([^_]*)__END was given for BEG__([^_]*)__END", document["context"])
            assert {code for _, name in pairs for code in coded(name)} == stay.codes
            assert {drug(name) for name, _ in pairs} <= stay.given.keys()
            assert coded(document["title"]) <= stay.codes


def test_synthetic_medqa_and_healthcaremagic_are_about_patients_of_the_hospital(written, firsts):
    people, asked = known(firsts), 0
    for path in sorted(written["medqa"].rglob("*.jsonl")):
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            (condition,) = [c for c in conditions() if c.test in row["question"]]
            assert (*who(row["question"]), condition.code) in people
            asked += 1
    letters = json.loads(written["healthcaremagic"].read_text(encoding="utf-8"))
    for letter, (_, stay) in zip(letters, firsts, strict=True):
        assert who(letter["input"]) == (stay.age, stay.sex)
        complaints = {c.code for c in conditions() if any(finding in letter["input"] for finding in c.findings)}
        assert complaints <= stay.codes
        assert len(complaints) == 1
    assert asked == sum(written.counts[f"medqa_{split}"] for split in ("train", "dev", "test"))


def test_synthetic_mednli_premises_are_about_stays(written, stays):
    """What is said before the denial is coded, what is denied is not; a date is that of an admission."""
    denial = re.compile(r"no evidence of|ruled out for|denied any history of|has never had|negative for|no sign of")
    dated = 0
    for path in sorted(written["mednli"].glob("*.jsonl")):
        for pair in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            premise = pair["sentence1"]
            said, denied = denial.split(premise)
            present, absent = coded(said), coded(denied)
            fitting = [stay for stay in stays.values() if present <= stay.codes and not absent & stay.codes]
            if found := WHO.search(premise):
                people = (int(found[1]), SEX[found[2]])
                fitting = [stay for stay in fitting if (stay.age, stay.sex) == people]
            if day := re.search(r"\[\*\*(\d+)-(\d+)-(\d+)\*\*\]", premise):
                fitting = [stay for stay in fitting if stay.admitted.date() == date(*map(int, day.groups()))]
                dated += 1
            if taken := re.search(r"(?:takes|treated with) ([^;]*?)(?: for |; )", premise):
                fitting = [stay for stay in fitting if drug(taken[1]) in stay.given]
            assert fitting, premise
    assert dated > 10


def test_synthetic_mimic_cause_dates_are_those_of_a_stay_that_its_sentence_fits(written, stays):
    with zipfile.ZipFile(written["mimic-cause"]) as archive:
        rows = list(csv.DictReader(archive.read("mimicause.csv").decode("utf-8").splitlines()))
    dated = 0
    for row in rows:
        if day := re.match(r"On \[\*\*(\d+)-(\d+)-(\d+)\*\*\]", row["text"]):
            came = [stay for stay in stays.values() if stay.admitted.date() == date(*map(int, day.groups()))]
            assert came
            one, two = (re.findall(f"<{tag}>(.*)</{tag}>", row["text"])[0] for tag in ("e1", "e2"))
            if row["label"].startswith("Hinder"):
                assert any(coded(one) | coded(two) <= stay.codes for stay in came)
            elif row["label"] == "Other":
                assert not any(coded(one) | coded(two) <= stay.codes for stay in came)
                assert any({one.lower(), two.lower()} & {name.lower() for name in stay.given} for stay in came)
            dated += 1
    assert dated > 20


def test_synthetic_concept_has_one_number_in_every_data_set(written):
    """MedQuAD and CliCR tell CUIs, which the UMLS gives a name and a type."""
    meta = written["umls"] / "META"
    rows = [line.split("|") for line in (meta / "MRCONSO.RRF").read_text(encoding="utf-8").splitlines()]
    strings = defaultdict(set)
    for row in rows:
        strings[row[0]].add(row[14])
    types = dict(line.split("|")[:2] for line in (meta / "MRSTY.RRF").read_text(encoding="utf-8").splitlines())
    checked = 0
    for path in written["medquad"].rglob("*.xml"):
        text = path.read_text(encoding="utf-8")
        if cui := re.search(r"<CUI>(.+)</CUI>", text):
            (focus,) = re.findall(r"<Focus>(.*)</Focus>", text)
            assert focus in strings[cui[1]]
            assert re.findall(r"<SemanticType>(.*)</SemanticType>", text) == [types[cui[1]]]
            assert set(re.findall(r"<Synonym>(.*)</Synonym>", text)) <= strings[cui[1]]
            checked += 1
    assert checked > 25
    for answer in re.findall(r'\{"text": "([^"]*)", "cui": "(C\d+)"', (written["clicr"] / "test1.0.json").read_text()):
        assert answer[0] in strings[answer[1]]
