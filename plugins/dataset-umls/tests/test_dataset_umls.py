"""The UMLS converter on small files in the official layout: trailing |, no header, no quoting."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms
from mdkif_dataset_umls import facts, mdkif_datasets

[UMLS] = mdkif_datasets()


def atom(cui, text, aui, *, lat="ENG", ts="P", stt="PF", ispref="Y", sab="XYZ", suppress="N"):
    fields = (cui, lat, ts, "L1", stt, "S1", ispref, aui, "", "", "", sab, "PT", "001", text, "0", suppress, "")
    return "|".join(fields) + "|"


def synonym(cui, text, aui, **fields):
    return atom(cui, text, aui, **{"ts": "S", "ispref": "N", **fields})


def definition(cui, text, *, sab="XYZ", suppress="N"):
    return "|".join((cui, "A1", "AT1", "", sab, text, suppress, "")) + "|"


def relation(cui1, rela, cui2, *, rui="R1", rel="RO", suppress="N"):
    fields = (cui1, "A1", "AUI", rel, cui2, "A2", "AUI", rela, rui, "", "XYZ", "XYZ", "", "", suppress, "")
    return "|".join(fields) + "|"


def inverse(rela, other):
    return f"RELA|{rela}|rela_inverse|{other}|"


NAMES = [atom(f"C000000{n}", f"Disease {n}", f"A{n}") for n in range(1, 10)]


@pytest.fixture
def meta(tmp_path):
    """A writer of RRF files; it returns the folder that holds META."""

    def write(**files):
        (tmp_path / "META").mkdir(exist_ok=True)
        for name, lines in files.items():
            (tmp_path / "META" / f"{name}.RRF").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return tmp_path

    return write


def records(folder, view, conversion=None, **options):
    return list(convert(UMLS, folder, conversion or ConversionReport(), {"view": view, **options}))


def triples(found):
    return [(*(line.split(": ")[1] for line in r.context.split("\n")), r.answer) for r in found]


def test_umls_conforms():
    assert_conforms("mdkif-dataset-umls")


# Finding and reading the files


def test_umls_meta_folder_its_parent_and_a_file_of_it_are_the_same_source(meta):
    release = meta(MRCONSO=NAMES, MRDEF=[definition("C0000001", "One.")])
    sources = (release, release / "META", release / "META" / "MRCONSO.RRF")
    assert all(records(source, "ea")[0].answer == "One." for source in sources)


def test_umls_folder_without_names_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(BadInput, match=r"no MRCONSO.RRF in .*: give the META folder"):
        records(tmp_path, "ea")


@pytest.mark.parametrize(("view", "file"), [("ea", "MRDEF"), ("er", "MRREL")])
def test_umls_missing_file_is_named(meta, view, file):
    with pytest.raises(BadInput, match=f"{file}.RRF is not there"):
        records(meta(MRCONSO=NAMES), view)


def test_umls_quotes_and_commas_are_ordinary_characters(meta):
    text = 'Called "the great, imitator" by "some'
    [record] = records(meta(MRCONSO=[NAMES[0]], MRDEF=[definition("C0000001", text)]), "ea")
    assert record.answer == text


def test_umls_unusual_line_separators_inside_a_field_do_not_end_the_row(meta):
    [record] = records(meta(MRCONSO=NAMES, MRDEF=[definition("C0000001", "First\u2028second\x85third.")]), "ea")
    assert record.answer == "First second third."


def test_umls_byte_order_mark_is_not_part_of_the_first_cui(meta):
    release = meta(MRCONSO=["\ufeff" + NAMES[0]], MRDEF=[definition("C0000001", "One.")])
    assert [record.group for record in records(release, "ea")] == ["C0000001"]


@pytest.mark.parametrize("row", ["C0000002|A1|secret text|", definition("C0000002", "secret text")[:-1], "", "a|" * 9])
def test_umls_row_with_other_fields_is_named_by_file_and_line_and_not_quoted(meta, row):
    release = meta(MRCONSO=NAMES, MRDEF=[definition("C0000001", "One."), row])
    with pytest.raises(BadInput, match=r"MRDEF.RRF:2 does not have 8 fields") as error:
        records(release, "ea")
    assert "secret" not in str(error.value)
    lenient = ConversionReport(skip_bad=True)
    assert len(records(release, "ea", lenient)) == 1
    assert sum(n for reason, n in lenient.left_out.items() if reason.startswith("malformed")) == 1


@pytest.mark.parametrize("view", ["es", "er"])
def test_umls_malformed_row_of_a_file_that_is_read_twice_counts_once(meta, view):
    release = meta(MRCONSO=[*NAMES, "bad"], MRREL=[relation("C0000001", "due_to", "C0000002"), "bad"])
    lenient = ConversionReport(skip_bad=True)
    records(release, view, lenient)
    counted = {reason: n for reason, n in lenient.left_out.items() if reason.startswith("malformed")}
    assert set(counted.values()) == {1}


def test_umls_rows_out_of_order_are_refused(meta):
    release = meta(MRCONSO=NAMES, MRDEF=[definition("C0000002", "Two."), definition("C0000001", "One.")])
    with pytest.raises(BadInput, match="not sorted by CUI"):
        records(release, "ea")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": "xx"}, "'view' is 'xx': choose from ea, es, er"),
        ({"limit": "many"}, "'limit' is 'many': give a whole number"),
        ({"seed": -1}, "'seed' is -1"),
    ],
)
def test_umls_wrong_option_names_the_choices(meta, options, message):
    with pytest.raises(BadInput, match=message):
        list(convert(UMLS, meta(MRCONSO=NAMES), ConversionReport(), options))


# Entity attributes


def test_umls_definition_explains_the_preferred_english_name(meta):
    names = [
        synonym("C0000001", "Other name", "A0"),
        atom("C0000001", "Nom", "A1", lat="FRE"),
        atom("C0000001", "Old name", "A2", suppress="O"),
        atom("C0000001", "Variant", "A3", stt="VC"),
        atom("C0000001", "Name", "A4"),
    ]
    [record] = records(meta(MRCONSO=names, MRDEF=[definition("C0000001", "A text.")]), "ea")
    assert (record.query, record.context, record.answer) == (
        "Explain the following medical concept.",
        "Name",
        "A text.",
    )
    assert (record.id, record.group, record.source) == ("umls/ea/C0000001", "C0000001", "MRDEF.RRF:1")


def test_umls_of_several_definitions_the_first_source_vocabulary_speaks(meta):
    rows = [
        definition("C0000001", "From Z.", sab="XYZ"),
        definition("C0000001", "From A.", sab="ABC"),
        definition("C0000001", "Suppressed.", sab="AAA", suppress="O"),
        definition("C0000001", " ", sab="AAB"),
    ]
    names = [*NAMES, *(synonym("C0000009", sab, sab, sab=sab) for sab in ("ABC", "AAA", "AAB"))]
    conversion = ConversionReport()
    [record] = records(meta(MRCONSO=names, MRDEF=rows), "ea", conversion)
    assert (record.answer, record.source) == ("From A.", "MRDEF.RRF:2")
    assert conversion.left_out == {
        "further definition of a concept": 1,
        "definition that is empty, suppressed or not English": 2,
    }


def test_umls_definitions_of_foreign_vocabularies_are_left_out(meta):
    names = [*NAMES, atom("C0000009", "Enfermedad", "A99", lat="SPA", sab="MSHSPA")]
    rows = [definition("C0000001", "Una enfermedad.", sab="MSHSPA"), definition("C0000002", "Two.")]
    assert [record.answer for record in records(meta(MRCONSO=names, MRDEF=rows), "ea")] == ["Two."]


def test_umls_concept_without_an_english_name_is_left_out_and_counted(meta):
    conversion = ConversionReport()
    release = meta(MRCONSO=[atom("C0000001", "Nom", "A1", lat="FRE")], MRDEF=[definition("C0000001", "A text.")])
    assert records(release, "ea", conversion) == []
    assert conversion.left_out == {"concept without a preferred English name": 1}


# Entity synonymy

SYNONYMS = [
    atom("C0000001", "Heart attack", "A11"),
    synonym("C0000001", "Myocardial infarction", "A12"),
    synonym("C0000001", "heart  ATTACK", "A13"),
    synonym("C0000001", "Infarto", "A14", lat="SPA"),
    synonym("C0000001", "Cardiac infarct", "A15"),
    atom("C0000002", "Panic", "A21"),
    synonym("C0000002", "Panic attack", "A22"),
    synonym("C0000002", "Obsolete attack", "A23", suppress="O"),
    atom("C0000003", "Kidney stone", "A31"),
    synonym("C0000003", "Renal calculus", "A32"),
]


def test_umls_every_synonym_gets_one_yes_and_one_no(meta):
    found = records(meta(MRCONSO=SYNONYMS), "es")
    assert [record.answer for record in found] == ["yes", "no"] * 4
    assert found[0].query == "Do the two medical terms mean the same? Choose from: yes; no."
    assert found[0].context == "term 1: Heart attack\nterm 2: Myocardial infarction"
    assert {(record.group, record.source) for record in found[:4]} == {
        ("C0000001", "MRCONSO.RRF:2"),
        ("C0000001", "MRCONSO.RRF:5"),
    }
    assert len({record.id for record in found}) == 8


def test_umls_term_of_another_concept_shares_a_word_where_one_does(meta):
    found = records(meta(MRCONSO=SYNONYMS), "es")
    negatives = [record.context.split("term 2: ")[1] for record in found if record.answer == "no"]
    assert negatives[:2] == ["Panic attack", "Panic attack"]


def test_umls_term_that_two_concepts_share_is_no_negative(meta):
    atoms = [
        atom("C0000001", "Common cold", "A11"),
        synonym("C0000001", "cold", "A12"),
        atom("C0000002", "Cold temperature", "A21"),
        synonym("C0000002", "Cold", "A22"),
    ]
    conversion = ConversionReport()
    assert records(meta(MRCONSO=atoms), "es", conversion) == []
    assert conversion.left_out == {"synonym without a term of another concept to contrast with": 2}


def test_umls_what_is_not_an_english_unsuppressed_further_name_is_counted(meta):
    conversion = ConversionReport()
    records(meta(MRCONSO=SYNONYMS), "es", conversion)
    assert conversion.left_out == {
        "name that is suppressed or not English": 2,
        "synonym that repeats another term": 1,
    }


def test_umls_pairs_of_one_concept_stay_in_one_split(meta):
    splits = defaultdict[str, set[str]](set)
    for record in records(meta(MRCONSO=SYNONYMS), "es"):
        splits[record.group].add(record.split)
    assert all(len(found) == 1 for found in splits.values())


# Entity relations


def test_umls_relation_reads_from_the_second_concept_to_the_first(meta):
    [record] = records(meta(MRCONSO=NAMES, MRREL=[relation("C0000001", "isa", "C0000002", rel="CHD")]), "er")
    assert record.context == "concept 1: Disease 2\nconcept 2: Disease 1"
    assert (record.answer, record.group, record.source) == ("isa", "C0000002", "MRREL.RRF:1")
    assert record.query == "Determine the relation between the two medical concepts. Choose from: isa."


def test_umls_self_relations_empty_names_suppressed_and_nameless_concepts_are_left_out(meta):
    rows = [
        relation("C0000001", "due_to", "C0000001", rui="R1"),
        relation("C0000001", "", "C0000002", rui="R2"),
        relation("C0000001", "due_to", "C0000003", rui="R3", suppress="Y"),
        relation("C0000001", "due_to", "C9999999", rui="R4"),
        relation("C0000001", "due_to", "C0000004", rui="R5"),
    ]
    conversion = ConversionReport()
    found = records(meta(MRCONSO=NAMES, MRREL=rows), "er", conversion)
    assert triples(found) == [("Disease 4", "Disease 1", "due to")]
    assert set(conversion.left_out.values()) == {1}
    assert len(conversion.left_out) == 4


@pytest.mark.parametrize(
    ("one", "other", "documented", "told"),
    [
        ("isa", "inverse_isa", [], ("Disease 2", "Disease 1", "isa")),
        ("has_finding_site", "finding_site_of", [], ("Disease 1", "Disease 2", "finding site of")),
        ("treats", "cured_by", [inverse("treats", "cured_by"), inverse("cured_by", "treats")], None),
        ("sib_in", "sib_in", [inverse("sib_in", "sib_in")], ("Disease 1", "Disease 2", "sib in")),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_umls_two_directions_of_one_relation_are_told_once(meta, one, other, documented, told, turned):
    rows = [relation("C0000001", one, "C0000002", rui="R1"), relation("C0000002", other, "C0000001", rui="R2")]
    conversion = ConversionReport()
    release = meta(MRCONSO=NAMES, MRREL=rows[::-1] if turned else rows, MRDOC=documented)
    found = triples(records(release, "er", conversion))
    assert found == [told or ("Disease 1", "Disease 2", "cured by")]
    assert conversion.left_out == {"relation that was already told, or told from the other side": 1}


def test_umls_shared_rui_marks_two_directions_whose_names_are_not_known_as_inverse(meta):
    rows = [relation("C0000001", "eats", "C0000002"), relation("C0000002", "feeds", "C0000001")]
    assert len(records(meta(MRCONSO=NAMES, MRREL=rows), "er")) == 1


def test_umls_two_relations_of_one_pair_are_both_told(meta):
    rows = [relation("C0000001", "may_treat", "C0000002"), relation("C0000001", "may_prevent", "C0000002", rui="R2")]
    assert {answer for *_, answer in triples(records(meta(MRCONSO=NAMES, MRREL=rows), "er"))} == {
        "may treat",
        "may prevent",
    }


def test_umls_eight_most_frequent_relations_are_the_labels(meta):
    rows, rui = [], 0
    for often, name in enumerate("jihgfedcba", 1):
        for number in range(often if often < 9 else 9):
            rui += 1
            rows.append(
                relation(f"C000000{number + 1}", f"rel_{name}", f"C000000{(number + 1) % 9 + 1}", rui=f"R{rui}")
            )
    conversion = ConversionReport()
    found = records(meta(MRCONSO=NAMES, MRREL=rows), "er", conversion)
    assert found[0].options == tuple(f"rel {name}" for name in "abcdefgh")
    assert conversion.left_out == {"relation beyond the 8 most frequent": 3}


INVERSE = {"isa": "inverse_isa", "has_part": "part_of", "causes": "caused_by", "near": "near"}
BOTH_WAYS = INVERSE | {other: one for one, other in INVERSE.items()}
STATED = st.tuples(st.integers(1, 4), st.sampled_from(sorted(BOTH_WAYS)), st.integers(1, 4))


@settings(max_examples=60, deadline=None)
@given(st.lists(STATED, max_size=25))
def test_umls_whatever_is_stated_is_told_exactly_once(tmp_path_factory, stated):
    folder = tmp_path_factory.mktemp("META")
    rows = [relation(f"C{two}", rela, f"C{one}", rui=f"R{n}") for n, (one, rela, two) in enumerate(stated)]
    (folder / "MRREL.RRF").write_text("".join(f"{row}\n" for row in rows))
    (folder / "MRDOC.RRF").write_text("".join(f"{inverse(*pair)}\n" for pair in BOTH_WAYS.items()))
    names = {f"C{n}": f"Disease {n}" for n in range(1, 5)}
    told = [fact for _, fact in facts(folder, names, ConversionReport())]

    def both_sides(first, rela, second):
        return frozenset({(first, rela, second), (second, BOTH_WAYS[rela], first)})

    expected = {both_sides(f"C{one}", rela, f"C{two}") for one, rela, two in stated if one != two}
    assert len(told) == len(expected)
    assert {both_sides(*fact) for fact in told} == expected
    assert len({fact.relation for fact in told} & {"causes", "caused_by"}) <= 1


# Sampling


def test_umls_limit_samples_that_many_and_counts_the_rest(meta):
    release = meta(MRCONSO=NAMES, MRDEF=[definition(f"C000000{n}", f"Text {n}.") for n in range(1, 10)])
    whole, conversion = records(release, "ea"), ConversionReport()
    some = records(release, "ea", conversion, limit=4)
    assert some == [record for record in whole if record in some]
    assert (len(some), conversion.left_out) == (4, {"not in the sample": 5})
    assert records(release, "ea", limit="4") == some
    assert any(records(release, "ea", limit=4, seed=seed) != some for seed in (1, 2, 3))
    assert records(release, "ea", limit=100) == whole


def test_umls_sample_keeps_both_halves_of_a_pair(meta):
    found = records(meta(MRCONSO=SYNONYMS), "es", limit=4)
    assert [record.answer for record in found] == ["yes", "no"] * 2
    assert len({record.id.partition("#")[0] for record in found}) == 2
