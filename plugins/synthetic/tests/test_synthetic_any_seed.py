"""Whatever the seed and the size: people and dates are possible, codes are known, and offsets point at their texts."""

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mdkif_synthetic import Written, generate
from mdkif_synthetic.knowledge import by_code, drugs
from mdkif_synthetic.notes import addendum, discharge_summary
from mdkif_synthetic.patients import Patient, admit

SEEDS, SIZES = st.integers(-(2**40), 2**40), st.integers(10, 30)
few = settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.generate,),  # a smaller hospital would say no more, and takes minutes to find
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
many = settings(max_examples=40, deadline=None)


@pytest.fixture
def hospital(tmp_path_factory: pytest.TempPathFactory):
    """A function that writes one data set and says where it lies."""

    def made(name: str, seed: int, patients: int) -> Written:
        return generate(tmp_path_factory.mktemp("any") / "h", seed=seed, patients=patients, only=[name])

    return made


def table(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


# People


@many
@given(seed=SEEDS, size=SIZES)
def test_synthetic_people_could_live(seed, size):
    """They are grown up and not older than people get; nobody is in hospital twice at a time, or after death."""
    for patient in admit(seed, size).patients:
        assert patient.sex in ("F", "M")
        for stay in patient.admissions:
            lived = (stay.admitted - patient.born) / timedelta(days=365.2425)
            assert patient.age(stay.admitted) == pytest.approx(lived - 0.5, abs=0.51)
            assert 34 <= patient.age(stay.admitted) <= 91
            assert timedelta(hours=30) <= stay.discharged - stay.admitted <= timedelta(hours=400)
            assert 2101 <= stay.admitted.year <= stay.discharged.year <= 2200
        for one, two in pairwise(patient.admissions):
            assert two.admitted - one.discharged >= timedelta(days=3)
            assert not one.died
            assert one.soon_back == (two.admitted - one.discharged < timedelta(days=30))
        assert not patient.admissions[-1].soon_back


@many
@given(seed=SEEDS, size=SIZES)
def test_synthetic_who_died_is_not_sent_home_and_everyone_else_is(seed, size):
    rng = Random(seed)
    for patient in admit(seed, size).patients:
        for stay in patient.admissions[-1:]:
            report, added = (" ".join(t.split()) for t in (discharge_summary(rng, patient, stay), addendum(rng, stay)))
            assert ("expired" in report) == stay.died
            assert ("went home" in report or "Discharged " in report) != stay.died
            assert ("before discharge" in added) != stay.died


def treatments(patient: Patient) -> dict[str, set[tuple[str, ...]]]:
    found = defaultdict(set)
    for stay in patient.admissions:
        for condition, names in zip(stay.diagnoses, stay.drugs, strict=True):
            found[condition.code].add(names)
    return found


@many
@given(seed=SEEDS, size=SIZES)
def test_synthetic_people_could_be_ill_as_they_are(seed, size):
    for patient in admit(seed, size).patients:
        lasting = [[c.code for c in stay.diagnoses if c.chronic] for stay in patient.admissions]
        assert all(codes == lasting[0] for codes in lasting)
        assert 1 <= len(lasting[0]) <= 3
        for stay in patient.admissions:
            codes = [condition.code for condition in stay.diagnoses]
            assert len(set(codes)) == len(codes)
            acute = len(codes) - len(lasting[0])
            assert acute in (1, 2)
            assert not any(condition.chronic for condition in stay.diagnoses[:acute])
            assert all(condition.sex in ("", patient.sex) for condition in stay.diagnoses)
        for code, ways in treatments(patient).items():
            assert all(1 <= len(names) <= 2 and set(names) <= set(by_code()[code].drugs) for names in ways)
            assert len(ways) == 1 or not by_code()[code].chronic


@many
@given(seed=SEEDS, size=SIZES, more=st.integers(1, 20))
def test_synthetic_numbers_are_ones_own_and_more_patients_change_nobody(seed, size, more):
    few_people, many_people = admit(seed, size).patients, admit(seed, size + more).patients
    assert many_people[:size] == few_people
    stays = [stay.id for patient in many_people for stay in patient.admissions]
    assert stays == list(range(stays[0], stays[0] + len(stays)))
    assert len({patient.id for patient in many_people}) == size + more


# Tables


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_times_of_mimic_iii_are_in_order(hospital, seed, size):
    folder = hospital("mimic-iii", seed, size)["mimic-iii"]
    people = {row["SUBJECT_ID"]: row for row in table(folder / "PATIENTS.csv.gz")}
    stays = {row["HADM_ID"]: row for row in table(folder / "ADMISSIONS.csv.gz")}
    for row in stays.values():
        order = [row[column] for column in ("EDREGTIME", "EDOUTTIME", "ADMITTIME", "DISCHTIME") if row[column]]
        assert order == sorted(set(order))
        assert row["DEATHTIME"] in ("", row["DISCHTIME"])
        person = people[row["SUBJECT_ID"]]
        assert person["DOB"] < row["ADMITTIME"]
        assert person["DOD"] == "" or person["DOD"][:10] >= row["DISCHTIME"][:10]
        assert person["DOD"] == person["DOD_HOSP"]
    for row in table(folder / "PRESCRIPTIONS.csv.gz"):
        stay = stays[row["HADM_ID"]]
        assert (row["STARTDATE"][:10], row["ENDDATE"][:10]) == (stay["ADMITTIME"][:10], stay["DISCHTIME"][:10])
    for row in table(folder / "NOTEEVENTS.csv.gz"):
        if row["HADM_ID"]:
            stay = stays[row["HADM_ID"]]
            assert stay["ADMITTIME"][:10] <= row["CHARTDATE"] <= stay["DISCHTIME"][:10]
        assert row["CHARTTIME"][:10] in ("", row["CHARTDATE"])


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_times_of_mimic_iv_are_in_order(hospital, seed, size):
    folder = hospital("mimic-iv", seed, size)["mimic-iv"]
    stays = {row["hadm_id"]: row for row in table(folder / "hosp/admissions.csv.gz")}
    for row in stays.values():
        order = [row[column] for column in ("edregtime", "edouttime", "admittime", "dischtime") if row[column]]
        assert order == sorted(set(order))
    for row in table(folder / "hosp/prescriptions.csv.gz"):
        stay = stays[row["hadm_id"]]
        assert (row["starttime"], row["stoptime"]) == (stay["admittime"], stay["dischtime"])
    for row in table(folder / "note/discharge.csv.gz"):
        left = when(stays[row["hadm_id"]]["dischtime"])
        assert when(row["charttime"]).date() == left.date()
        assert timedelta(0) < when(row["storetime"]) - left <= timedelta(hours=48)


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_codes_are_in_their_dictionaries(hospital, seed, size):
    older, newer = hospital("mimic-iii", seed, size)["mimic-iii"], hospital("mimic-iv", seed, size)["mimic-iv"]
    for kind in ("DIAGNOSES", "PROCEDURES"):
        known = {row["ICD9_CODE"] for row in table(older / f"D_ICD_{kind}.csv.gz")}
        assert {row["ICD9_CODE"] for row in table(older / f"{kind}_ICD.csv.gz")} <= known | {""}
        titled = {(row["icd_code"], row["icd_version"]) for row in table(newer / f"hosp/d_icd_{kind.lower()}.csv.gz")}
        used = {(row["icd_code"], row["icd_version"]) for row in table(newer / f"hosp/{kind.lower()}_icd.csv.gz")}
        assert used <= titled


@few
@given(seed=SEEDS, size=SIZES, edition=st.sampled_from(["mimic-iii", "mimic-iv"]))
def test_synthetic_who_goes_home_takes_what_was_prescribed_and_can_be_taken_at_home(hospital, seed, size, edition):
    folder = hospital(edition, seed, size)[edition]
    tables = folder if edition == "mimic-iii" else folder / "hosp"
    case = str.upper if edition == "mimic-iii" else str.lower
    notes = folder / ("NOTEEVENTS.csv.gz" if edition == "mimic-iii" else "note/discharge.csv.gz")
    given_at = defaultdict(set)
    for row in table(tables / f"{case('prescriptions')}.csv.gz"):
        if row[case("drug_type")] == "MAIN" and row[case("route")] != "IV":
            given_at[row[case("hadm_id")]].add(row[case("drug")])
    died = {row[case("hadm_id")] for row in table(tables / f"{case('admissions')}.csv.gz") if row[case("deathtime")]}
    reports = 0
    for row in table(notes):
        text = row[case("text")]
        if "Discharge Medications:\n" not in text or row.get("ISERROR"):
            continue
        listed = re.findall(r"^\d+\. (.*?) [\d.]+ \S+ [A-Z]+ [A-Z]+$", text.split("Discharge Medications:\n")[1], re.M)
        assert len(set(listed)) == len(listed)
        assert set(listed) == (set() if row[case("hadm_id")] in died else given_at[row[case("hadm_id")]])
        reports += 1
    assert reports >= size


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_counts_are_those_of_the_files(tmp_path_factory, seed, size):
    written = generate(tmp_path_factory.mktemp("any") / "h", seed=seed, patients=size)
    files = {}
    for path in written["mimic-iii"].glob("*.csv.gz"):
        files[path.name.partition(".")[0].lower()] = len(table(path))
    for path in written["mimic-iv"].rglob("*.csv.gz"):
        files[f"mimic_iv_{path.name.partition('.')[0]}"] = len(table(path))
    for path in written["umls"].rglob("*.RRF"):
        files[f"umls_{path.stem.lower()}"] = len(path.read_text(encoding="utf-8").splitlines())
    for path in written["medqa"].rglob("*.jsonl"):
        files[f"medqa_{path.stem}"] = len(path.read_text(encoding="utf-8").splitlines())
    for path in written["mednli"].glob("*.jsonl"):
        files[f"mednli_{path.stem.split('_')[1]}"] = len(path.read_text(encoding="utf-8").splitlines())
    for path in written["clicr"].glob("*.json"):
        cases = json.loads(path.read_text(encoding="utf-8"))["data"]
        files[f"clicr_{path.stem.removesuffix('1.0')}"] = sum(len(case["document"]["qas"]) for case in cases)
    assert files.items() <= written.counts.items()
    assert len(files) == 8 + 8 + 4 + 3 * 3
    assert all(count or name.endswith("procedures_icd") for name, count in files.items())


# Offsets


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_mentions_of_wikimed_stand_at_their_offsets(hospital, seed, size):
    found = 0
    for line in (hospital("wikimed", seed, size)["wikimed"] / "wikimed.json").read_text(encoding="utf-8").splitlines():
        article = json.loads(line)
        spans = [(mention["start_offset"], mention["end_offset"]) for mention in article["mentions"]]
        assert [article["text"][start:end] for start, end in spans] == [m["mention"] for m in article["mentions"]]
        assert all(one[1] <= two[0] for one, two in pairwise(spans)), "in order, and none in another"
        found += len(spans)
    assert found > size


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_concepts_of_i2b2_stand_at_their_tokens(hospital, seed, size):
    root, found = hospital("i2b2", seed, size)["i2b2"], Counter[str]()
    for note in root.rglob("record-*.txt"):
        lines = [line.split(" ") for line in note.read_text(encoding="utf-8").splitlines()]
        for suffix in ("con", "ast", "rel"):
            (rows,) = root.rglob(f"{note.stem}.{suffix}")
            for text, line, first, same, last in re.findall(
                r'c="(.*?)" (\d+):(\d+) (\d+):(\d+)', rows.read_text(encoding="utf-8")
            ):
                words = lines[int(line) - 1][int(first) : int(last) + 1]
                assert (" ".join(words).lower(), same) == (text, line)
                found[suffix] += 1
    assert found["con"] > found["ast"] > 0 < found["rel"]


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_answers_of_emrqa_stand_at_their_line_and_token(hospital, seed, size):
    found = 0
    for part in json.loads(hospital("emrqa", seed, size)["emrqa"].read_text(encoding="utf-8"))["data"]:
        for note in part["paragraphs"]:
            asked = [question for qa in note["qas"] for question in qa["question"]]
            assert len(asked) == len(set(asked)), "a question has all its answers in one place"
            for answer in (answer for qa in note["qas"] for answer in qa["answers"]):
                if not answer["evidence"]:
                    assert answer["text"] in ("yes", "UNK") or answer["text"].endswith(("SMOKER", "UNKNOWN"))
                    continue
                columns = [answer[key] for key in ("answer_start", "text", "evidence", "evidence_start")]
                whole = answer["answer_entity_type"] == "complex"
                for (line, token), text, evidence, start in zip(*columns, strict=True) if whole else [columns]:
                    assert note["context"][line - 1] == evidence
                    assert line == start
                    words = evidence.lower().split()
                    assert token == "" or words[token : token + len(text.split())] == text.split()
                    found += 1
    assert found > size


@few
@given(seed=SEEDS, size=SIZES)
def test_synthetic_doses_of_emrqa_are_how_a_drug_is_prescribed(hospital, seed, size):
    doses = {name.lower(): f"{drug.dose} {drug.unit}".lower() for name, drug in drugs().items()}
    medication, *_ = json.loads(hospital("emrqa", seed, size)["emrqa"].read_text(encoding="utf-8"))["data"]
    for qa in (qa for note in medication["paragraphs"] for qa in note["qas"] if qa["id"][1] == "dosage"):
        name = qa["question"][0].removeprefix("What is the dosage of ").removesuffix("?")
        plain = name.replace(" 's", "'s").replace(" %", "%")
        assert {answer["text"] for answer in qa["answers"]} == {doses[plain]}
