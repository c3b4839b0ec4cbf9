"""The labels that converters give, judged apart from them by the tables alone, and why anything is left out."""

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mdkif import ConversionReport, Record, Toolkit
from mdkif_synthetic import Written, generate
from mdkif_synthetic.generation import FAMILIES
from mdkif_synthetic.knowledge import conditions, drugs
from mdkif_synthetic.notes import HINT

Convert = Callable[..., tuple[list[Record], dict[str, int]]]
Tables = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return generate(tmp_path_factory.mktemp("synthetic") / "hospital", seed=17, patients=240)


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Toolkit:
    return Toolkit(store=tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def convert(toolkit, written) -> Convert:
    def convert(name: str, **options: object) -> tuple[list[Record], dict[str, int]]:
        conversion = ConversionReport()
        records = list(toolkit.convert(name, written[name], conversion, options))
        assert len({record.id for record in records}) == len(records) > 0
        return records, dict(+conversion.left_out)

    return convert


@pytest.fixture(scope="module", params=["mimic-iii", "mimic-iv"])
def edition(request: pytest.FixtureRequest, written) -> tuple[str, Tables]:
    return request.param, tables_of(written, request.param)


def tables_of(written: Written, name: str) -> Tables:
    """The tables of an edition of MIMIC; columns are in upper case here."""
    found = {}
    for path in written[name].rglob("*.csv.gz"):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = [{key.upper(): value for key, value in row.items()} for row in csv.DictReader(file)]
        found[path.name.partition(".")[0].upper()] = rows
    return found


def admission(record: Record) -> str:
    return record.id.rpartition("/")[2]


def notes(name: str, tables: Tables) -> Counter[str]:
    """How many notes of MIMIC-III no view reads, and why."""
    found = Counter[str]()
    for row in tables["NOTEEVENTS"] if name == "mimic-iii" else ():
        if row["CATEGORY"] != "Discharge summary":
            found["note that is no discharge summary"] += 1
        elif row["ISERROR"]:
            found["note marked as an error"] += 1
    return found


# MIMIC


def test_synthetic_labels_codes_are_the_most_frequent_of_the_tables(convert, edition):
    """The ten whose share of the admissions is largest, give or take the chance of what is for training."""
    name, tables = edition
    records, left_out = convert(name, view="icd")
    titles, having = {}, defaultdict(set)
    if name == "mimic-iii":
        titles = {row["ICD9_CODE"]: row["SHORT_TITLE"] for row in tables["D_ICD_DIAGNOSES"]}
        for row in tables["DIAGNOSES_ICD"]:
            having[titles.get(row["ICD9_CODE"], "")].add(row["HADM_ID"])
    else:
        for row in tables["D_ICD_DIAGNOSES"]:
            titles[row["ICD_CODE"], row["ICD_VERSION"]] = f"{row['LONG_TITLE']} (ICD-{row['ICD_VERSION']})"
        for row in tables["DIAGNOSES_ICD"]:
            having[titles[row["ICD_CODE"], row["ICD_VERSION"]]].add(row["HADM_ID"])
    options = records[0].options
    assert len(options) == 10
    assert min(len(having[title]) for title in options) > max(len(having[t]) for t in titles.values()) / 4
    told = {admission(record): set(record.labels) for record in records}
    assert told == {
        row["HADM_ID"]: gold
        for row in tables["ADMISSIONS"]
        if (gold := {title for title in options if row["HADM_ID"] in having[title]})
    }
    without = {"admission with none of the 10 labels": len(tables["ADMISSIONS"]) - len(records)}
    empty = {"row of DIAGNOSES_ICD without a code": len(having[""])} if having[""] else {}
    assert left_out == {**without, **empty, **notes(name, tables)}


def told_by(name: str, tables: Tables, kind: str) -> dict[str, set[str]]:
    """What is coded of each admission, by the titles that label it."""
    if name == "mimic-iii":
        short = {row["ICD9_CODE"]: row["SHORT_TITLE"] for row in tables[f"D_ICD_{kind}"]}
        rows = [(row["HADM_ID"], short[row["ICD9_CODE"]]) for row in tables[f"{kind}_ICD"] if row["ICD9_CODE"]]
    else:
        long = {(row["ICD_CODE"], row["ICD_VERSION"]): row["LONG_TITLE"] for row in tables[f"D_ICD_{kind}"]}
        keys = [(row["HADM_ID"], row["ICD_CODE"], row["ICD_VERSION"]) for row in tables[f"{kind}_ICD"]]
        rows = [(number, f"{long[code, version]} (ICD-{version})") for number, code, version in keys]
    found = defaultdict[str, set[str]](set)
    for number, title in rows:
        found[number].add(title)
    return found


def test_synthetic_labels_procedures_are_coded_too(convert, edition):
    name, tables = edition
    records, _ = convert(name, view="icd", codes="procedures", top="full")
    assert {admission(record): set(record.labels) for record in records} == told_by(name, tables, "PROCEDURES")


def test_synthetic_labels_diagnoses_and_procedures_can_be_asked_for_together(convert, edition):
    name, tables = edition
    records, _ = convert(name, view="icd", codes="both", top="full")
    diagnosed, done = (told_by(name, tables, kind) for kind in ("DIAGNOSES", "PROCEDURES"))
    assert {admission(r): set(r.labels) for r in records} == {n: diagnosed[n] | done.get(n, set()) for n in diagnosed}
    assert 20 < len(done) < len(diagnosed)


def test_synthetic_labels_drugs_are_those_prescribed_and_no_context_tells_the_answer(convert, edition):
    name, tables = edition
    records, left_out = convert(name, view="medication", top=15)
    given_at = defaultdict(set)
    for row in tables["PRESCRIPTIONS"]:
        if row["DRUG_TYPE"] == "MAIN":
            given_at[row["HADM_ID"]].add(row["DRUG"].lower())
    options = set(records[0].options)
    expected = {number: found & options for number, found in given_at.items() if found & options}
    assert {admission(record): set(record.labels) for record in records} == expected
    bases = sum(row["DRUG_TYPE"] != "MAIN" for row in tables["PRESCRIPTIONS"])
    assert left_out == {
        "prescription of a base or an additive": bases,
        "admission with none of the 15 labels": len(tables["ADMISSIONS"]) - len(records),
        **notes(name, tables),
    }
    assert not any("Discharge Medications" in record.context for record in records)
    chronic = {drug for condition in conditions() if condition.chronic for drug in condition.drugs}
    for record in records:
        listed = record.context.partition("Medications on Admission:")[2].partition("\n\n")[0]
        assert {drug for drug in drugs() if drug.title() in listed} <= chronic


def readmitted(tables: Tables) -> dict[str, bool]:
    """Whether the patient is back within thirty days without a plan, of everyone who left alive."""
    stays, found = defaultdict(list), {}
    for row in tables["ADMISSIONS"]:
        stays[row["SUBJECT_ID"]].append(row)
    for own in stays.values():
        for place, row in enumerate(own):
            later = [other["ADMITTIME"] for other in own[place + 1 :] if other["ADMISSION_TYPE"] != "ELECTIVE"]
            if not row["DEATHTIME"]:
                away = datetime.fromisoformat(later[0]) - datetime.fromisoformat(row["DISCHTIME"]) if later else None
                found[row["HADM_ID"]] = away is not None and away < timedelta(days=30)
    return found


def test_synthetic_labels_readmissions_are_those_of_the_admissions_and_the_note_hints_at_them(convert, edition):
    name, tables = edition
    records, left_out = convert(name, view="readmission", balance="no")
    expected = readmitted(tables)
    assert {admission(record): record.answer == "yes" for record in records} == expected
    dead = sum(bool(row["DEATHTIME"]) for row in tables["ADMISSIONS"])
    addenda = sum(row["DESCRIPTION"] == "Addendum" for row in tables.get("NOTEEVENTS", ()))
    assert left_out == {
        "admission that ended in death": dead,
        "discharge summary of an admission that is left out or unknown": dead,
        **({"part of a discharge summary before the last": addenda} if addenda else {}),
        **notes(name, tables),
    }
    told = Counter((record.answer, HINT in " ".join(record.context.split())) for record in records)
    assert told["yes", True] / (told["yes", True] + told["yes", False]) > 0.4
    assert told["no", True] / (told["no", True] + told["no", False]) < 0.2


def test_synthetic_labels_as_many_who_do_not_come_back_are_kept_as_who_do(convert, edition):
    name, tables = edition
    records, left_out = convert(name, view="readmission")
    expected = readmitted(tables)
    back = sum(expected.values())
    assert Counter(record.answer for record in records) == {"yes": back, "no": back}
    assert left_out["negative beyond the number of positives"] == len(expected) - 2 * back


@pytest.mark.parametrize("view", ["icd", "medication", "readmission"])
def test_synthetic_labels_patient_is_in_one_split(convert, edition, view):
    name, tables = edition
    patients = {row["HADM_ID"]: row["SUBJECT_ID"] for row in tables["ADMISSIONS"]}
    splits = defaultdict(set)
    for record in convert(name, view=view)[0]:
        assert record.group == patients[admission(record)]
        splits[record.group].add(record.split)
    assert {len(found) for found in splits.values()} == {1}


# UMLS


@pytest.fixture(scope="module")
def rrf(written) -> dict[str, list[list[str]]]:
    paths = (written["umls"] / "META").glob("*.RRF")
    return {path.stem: [line.split("|") for line in path.read_text("utf-8").splitlines()] for path in paths}


@pytest.fixture(scope="module")
def names(rrf) -> dict[str, str]:
    """The preferred English name of every concept."""
    marks = ("ENG", "P", "PF", "Y", "N")
    return {row[0]: row[14] for row in rrf["MRCONSO"] if (row[1], row[2], row[4], row[6], row[16]) == marks}


def test_synthetic_labels_definitions_explain_every_concept_that_has_one(convert, rrf, names):
    records, left_out = convert("umls", view="ea")
    wanted = {row[0]: re.sub("</?p>", "", row[5]) for row in rrf["MRDEF"] if row[6] == "N"}
    assert {record.group: (record.context, record.answer) for record in records} == {
        cui: (names[cui], text) for cui, text in wanted.items()
    }
    suppressed = sum(row[6] != "N" for row in rrf["MRDEF"])
    assert left_out == {"definition that is empty, suppressed or not English": suppressed}


def test_synthetic_labels_synonyms_are_strings_of_the_concept_and_their_contrasts_of_another(convert, rrf, names):
    records, left_out = convert("umls", view="es")
    strings, further = defaultdict(set), defaultdict(list)
    for row in rrf["MRCONSO"]:
        strings[row[0]].add(row[14].casefold())
        if (row[1], row[16]) == ("ENG", "N") and row[14] != names[row[0]]:
            further[row[0]].append(row[14].casefold())
    fresh = {cui: set(found) - {names[cui].casefold()} for cui, found in further.items()}
    assert len(records) == 2 * sum(map(len, fresh.values()))
    everything = set().union(*strings.values())
    for record in records:
        one, two = (line.split(": ", 1)[1] for line in record.context.split("\n"))
        assert one == names[record.group]
        assert (two.casefold() in strings[record.group]) == (record.answer == "yes")
        assert two.casefold() in everything
    assert left_out == {
        "name that is suppressed or not English": sum((r[1], r[16]) != ("ENG", "N") for r in rrf["MRCONSO"]),
        "synonym that repeats another term": sum(map(len, further.values())) - sum(map(len, fresh.values())),
    }


def test_synthetic_labels_relations_are_facts_of_the_table_of_medicine(convert, rrf):
    """Each is told from one side, but for those whose other side no file calls inverse."""
    records, left_out = convert("umls", view="er")
    of = {condition.name: condition for condition in conditions()}
    true: dict[str, Callable[[str, str], bool]] = {
        "isa": lambda a, b: b in (of[a].parent if a in of else drugs()[a].drug_class,),
        "may treat": lambda a, b: a in of[b].drugs,
        "may be treated by": lambda a, b: b in of[a].drugs,
        "is finding of disease": lambda a, b: a in of[b].findings,
        "disease has finding": lambda a, b: b in of[a].findings,
        "cause of": lambda a, b: of[b].code in of[a].causes,
        "due to": lambda a, b: of[a].code in of[b].causes,
        "finding site of": lambda a, b: a == of[b].site,
    }
    told = Counter[str]()
    for record in records:
        one, two = (line.split(": ", 1)[1] for line in record.context.split("\n"))
        assert true[record.answer](one, two), record.id
        told[record.answer] += 1
    treatments, findings = sum(len(c.drugs) for c in of.values()), sum(len(c.findings) for c in of.values())
    effects = sum(len(c.causes) for c in of.values())
    assert told == {
        "isa": len(of) + len(drugs()),
        "may treat": treatments,
        "may be treated by": treatments,
        "is finding of disease": findings,
        "disease has finding": findings,
        "cause of": effects,
        "due to": effects,
        "finding site of": len(of),
    }
    named = sum(bool(row[7]) for row in rrf["MRREL"])
    assert left_out == {
        "relation without a RELA name": len(rrf["MRREL"]) - named,
        "relation that was already told, or told from the other side": named - len(records),
    }


# WikiMed and i2b2


def test_synthetic_labels_articles_have_the_types_of_what_they_mention(convert, written, rrf):
    records, left_out = convert("wikimed")
    types = {row[0]: row[3].replace("Body Part, Organ, or Organ Component", "Anatomy") for row in rrf["MRSTY"]}
    articles = list(map(json.loads, (written["wikimed"] / "wikimed.json").read_text("utf-8").splitlines()))
    expected = {
        article["_id"]: {types[cui] for mention in article["mentions"] for cui in mention["link_id"].split("|")}
        for article in articles
    }
    assert {record.group: set(record.labels) for record in records} == {
        k: found for k, found in expected.items() if found
    }
    dull = sum(not found for found in expected.values())
    assert left_out == ({"no mention of a concept with a class": dull} if dull else {})
    splits = {article["_id"]: article["split"].replace("valid", "dev") for article in articles}
    assert all(record.split == splits[record.group] for record in records)


def test_synthetic_labels_lines_have_the_concepts_that_were_annotated_in_them(convert, written):
    records, left_out = convert("i2b2")
    told = {(record.group.rpartition("/")[2], record.id.rpartition("/")[2]): set(record.labels) for record in records}
    expected, lines = defaultdict(set), 0
    for path in written["i2b2"].rglob("*.con"):
        for text, line, kind in re.findall(r'c="(.*)" (\d+):.*t="(.*)"', path.read_text(encoding="utf-8")):
            expected[path.stem, line].add(f"{kind}: {text}")
    for path in written["i2b2"].rglob("record-*.txt"):
        lines += len(path.read_text(encoding="utf-8").splitlines())
    assert {place: {label.lower() for label in found} for place, found in told.items()} == expected
    assert left_out == {"no concept": lines - len(records)}


# Any seed


@settings(
    max_examples=3,
    deadline=None,
    phases=(Phase.generate,),  # a smaller hospital would say no more, and takes minutes to find
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(-(2**40), 2**40), size=st.integers(10, 25))
def test_synthetic_labels_every_converter_reads_any_hospital_without_a_malformed_row(
    tmp_path_factory, toolkit, seed, size
):
    """It raises otherwise; what is left out is so by design, and everything read can be traced to its file."""
    written = generate(tmp_path_factory.mktemp("any") / "h", seed=seed, patients=size)
    designed = {
        "complex answer", "empty answer", "no concept", "no mention of a concept with a class", "note of another set",
        "note that is no discharge summary", "note marked as an error", "row of DIAGNOSES_ICD without a code",
        "admission with none of the 10 labels", "definition that is empty, suppressed or not English",
    }  # fmt: skip
    assert written.keys() == FAMILIES.keys()
    for name, source in written.items():
        conversion = ConversionReport()
        records = list(toolkit.convert(name, source, conversion))
        assert records
        assert len({record.id for record in records}) == len(records)
        assert (+conversion.left_out).keys() <= designed, name
        files = {path.name for path in ([source] if source.is_file() else source.rglob("*")) if path.is_file()}
        for record in records:
            place = record.source.partition(":")[0].rpartition("/")[2]
            assert place in files or name == "mimic-cause"
            assert record.answer.strip()
