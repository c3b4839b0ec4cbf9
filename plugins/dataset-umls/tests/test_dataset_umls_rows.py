"""What a row of the RRF files says and does not: which name is preferred, which relation is another's other side."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif_dataset_umls import mdkif_datasets

[UMLS] = mdkif_datasets()


def row(*fields):
    return "|".join(fields) + "|"


def atom(cui, text, aui, lat="ENG", ts="P", stt="PF", ispref="Y", suppress="N", srl="0"):
    return row(cui, lat, ts, "L1", stt, "S1", ispref, aui, "", "", "", "XYZ", "PT", "1", text, srl, suppress, "")


def relation(cui1, rela, cui2, rui="", rel="RO"):
    return row(cui1, "A1", "AUI", rel, cui2, "A2", "AUI", rela, rui, "", "XYZ", "XYZ", "", "", "N", "")


def definition(cui, text):
    return row(cui, "A1", "AT1", "", "XYZ", text, "N", "")


NAMES = [atom(f"C000000{n}", f"Disease {n}", f"A{n}") for n in range(1, 7)]


@pytest.fixture
def release(tmp_path):
    """A function that writes RRF files and gives their folder."""

    def write(newline="\n", **files):
        for name, lines in files.items():
            (tmp_path / f"{name}.RRF").write_text("".join(f"{line}\n" for line in lines), "utf-8", newline=newline)
        return tmp_path

    return write


def read(folder, view, conversion=None):
    return list(convert(UMLS, folder, conversion or ConversionReport(), {"view": view}))


def told(folder, conversion=None):
    """The relations as (first, relation, second), each concept by the number in its name."""
    found = []
    for record in read(folder, "er", conversion):
        first, second = (line.rpartition(" ")[2] for line in record.context.split("\n"))
        found.append((int(first), record.answer, int(second)))
    return found


# Names


@pytest.mark.parametrize(
    "marks",
    [{"lat": "GER"}, {"ts": "S"}, {"ts": "p"}, {"ts": "s"}, {"stt": "VO"}, {"stt": "VC"}, {"ispref": "N"}]
    + [{"suppress": mark} for mark in "YEO"],
)
def test_umls_rows_each_mark_alone_makes_a_name_other_than_the_preferred(release, marks):
    """TS in lower case is a term that is suppressed."""
    names = [atom("C0000001", "Another", "A1", **marks), atom("C0000001", "Preferred", "A2")]
    [record] = read(release(MRCONSO=names, MRDEF=[definition("C0000001", "A text.")]), "ea")
    assert record.context == "Preferred"


def test_umls_rows_restricted_source_is_read_as_any_other(release):
    """Whoever has the file has its licence: SRL says which terms bind what is made of it."""
    names = [atom("C0000001", "Restricted", "A1", srl="3")]
    [record] = read(release(MRCONSO=names, MRDEF=[definition("C0000001", "A text.")]), "ea")
    assert record.context == "Restricted"


def test_umls_rows_names_and_definitions_lose_their_html(release):
    names = [atom("C0000001", "Vitamin B<sub>12</sub> &lt;deficiency&gt;", "A1"), *NAMES[1:]]
    texts = ["<p>Too <b>little</b> of it.</p>", "<p><br/></p>", "p < 0.05 &amp; more"]
    rows = [definition(f"C000000{n}", text) for n, text in enumerate(texts, 1)]
    conversion = ConversionReport()
    found = read(release(MRCONSO=names, MRDEF=rows), "ea", conversion)
    assert [(record.context, record.answer) for record in found] == [
        ("Vitamin B 12 <deficiency>", "Too little of it."),
        ("Disease 3", "p < 0.05 & more"),
    ]
    assert conversion.left_out == {"definition that is empty, suppressed or not English": 1}


# Rows


@pytest.mark.parametrize(
    ("view", "file", "old", "width"),
    [
        ("ea", "MRCONSO", "C0000001|ENG|P|L0000001|PF|S0000001|secret|0|", 18),  # MRCON of the releases before 2004
        ("es", "MRCONSO", "C0000001|ENG|P|L0000001|PF|S0000001|secret|0|", 18),
        ("er", "MRREL", "C0000001|RO|C0000002|may_treat|secret|secret||", 16),
        ("ea", "MRDEF", "C0000001|secret|secret|", 8),
        ("er", "MRDOC", "RELA|isa|rela_inverse|secret", 4),
    ],
)
def test_umls_rows_file_of_another_layout_is_named_with_the_fields_it_should_have(release, view, file, old, width):
    files = {"MRCONSO": NAMES, "MRREL": [relation("C0000001", "isa", "C0000002")], "MRDEF": [], file: [old]}
    with pytest.raises(BadInput, match=rf"{file}.RRF:1 does not have {width} fields with a \| after each") as error:
        read(release(**files), view)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("view", ["ea", "es", "er"])
def test_umls_rows_line_ends_of_windows_change_nothing(release, view):
    names = [*NAMES, atom("C0000006", "Ailment six", "A61", ts="S", ispref="N")]
    names += [atom("C0000007", "Ailment", "A71"), atom("C0000007", "Ailment seven", "A72", ts="S", ispref="N")]
    files = {
        "MRCONSO": names,
        "MRDEF": [definition("C0000001", "A text.")],
        "MRREL": [relation("C0000001", "isa", "C0000002")],
    }
    unix = read(release(**files), view)
    assert unix
    assert read(release(newline="\r\n", **files), view) == unix


def test_umls_rows_names_out_of_order_are_refused_where_concepts_are_read_one_by_one(release):
    with pytest.raises(BadInput, match=r"MRCONSO.RRF is not sorted by CUI as NLM ships it"):
        read(release(MRCONSO=NAMES[::-1]), "es")


def test_umls_rows_atom_that_comes_twice_with_another_text_makes_no_second_id(release):
    further = [atom("C0000001", text, "A9", ts="S", ispref="N") for text in ("Ailment", "Illness")]
    other = atom("C0000002", "Trouble", "A8", ts="S", ispref="N")
    conversion = ConversionReport()
    found = read(release(MRCONSO=[NAMES[0], *further, NAMES[1], other]), "es", conversion)
    assert [record.context.split("term 2: ")[1] for record in found if record.answer == "yes"] == ["Ailment", "Trouble"]
    assert len({record.id for record in found}) == len(found) == 4
    assert conversion.left_out == {"duplicate id": 1}


# Relations


def test_umls_rows_rows_without_a_number_are_not_taken_for_one(release):
    rows = [relation("C0000001", "causes", "C0000002"), relation("C0000002", "follows", "C0000001")]
    assert told(release(MRCONSO=NAMES, MRREL=rows)) == [(2, "causes", 1), (1, "follows", 2)]


def test_umls_rows_one_number_between_other_concepts_is_another_relation(release):
    rows = [relation("C0000001", "causes", "C0000002", "R1"), relation("C0000001", "causes", "C0000003", "R1")]
    assert told(release(MRCONSO=NAMES, MRREL=rows)) == [(2, "causes", 1), (3, "causes", 1)]


@pytest.mark.parametrize("inverse", ["", "has_part"])
def test_umls_rows_what_the_release_documents_goes_before_what_names_suggest(release, inverse):
    """`part_of` and `has_part` are two sides by their names; the release may say so, or that neither is."""
    documented = [row("RELA", "part_of", "rela_inverse", inverse), row("RELA", "part_of", "expanded_form", "has_kind")]
    documented.append(row("RELA", "has_part", "rela_inverse", inverse and "part_of"))
    rows = [relation("C0000001", "part_of", "C0000002"), relation("C0000002", "has_part", "C0000001")]
    conversion = ConversionReport()
    found = told(release(MRCONSO=NAMES, MRREL=rows, MRDOC=documented), conversion)
    once = [(1, "has part", 2)]
    assert found == (once if inverse else [(2, "part of", 1), *once])
    assert sum(conversion.left_out.values()) == bool(inverse)


def test_umls_rows_direction_is_that_of_the_manual(release):
    """CHD: the second concept is a child of the first, which the second `isa`."""
    rows = [
        relation("C0000001", "isa", "C0000002", rel="CHD"),
        relation("C0000003", "inverse_isa", "C0000001", rel="PAR"),
    ]
    found = told(release(MRCONSO=NAMES, MRREL=rows))
    assert found == [(2, "isa", 1), (3, "isa", 1)]


# Synonyms


KINDS = [
    {"ts": "S", "ispref": "N"},
    {"ts": "S", "stt": "VC"},
    {"ts": "s", "ispref": "N", "suppress": "O"},
    {"ts": "S", "lat": "SPA"},
]
STRINGS = st.tuples(
    st.integers(1, 4), st.sampled_from(["mild fever", "Mild  Fever", "fever", "flu", "cold"]), st.integers(0, 3)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STRINGS, max_size=14))
def test_umls_rows_any_release_gives_synonyms_that_are_and_contrasts_that_are_not(tmp_path_factory, strings):
    """A contrast is no name of the concept, not even a suppressed or foreign one, whatever its case."""
    rows, own = [], {}
    for cui in range(1, 5):
        texts = [(text, kind) for number, text, kind in strings if number == cui]
        own[f"C{cui}"] = {text.casefold().replace("  ", " ") for text, _ in texts} | {f"name {cui}"}
        rows.append(atom(f"C{cui}", f"Name {cui}", f"A{cui}"))
        rows += [atom(f"C{cui}", text, f"A{cui}{place}", **KINDS[kind]) for place, (text, kind) in enumerate(texts)]
    folder = tmp_path_factory.mktemp("META")
    (folder / "MRCONSO.RRF").write_text("".join(f"{line}\n" for line in rows))
    conversion = ConversionReport()
    found = read(folder, "es", conversion)
    assert len({record.id for record in found}) == len(found)
    for record in found:
        one, two = (line.split(": ")[1].casefold() for line in record.context.split("\n"))
        assert one == f"name {record.group[1:]}"
        assert (two in own[record.group]) == (record.answer == "yes")
    offered = [(cui, text.casefold().replace("  ", " ")) for cui, text, kind in strings if kind < 2]
    without = conversion.left_out["synonym without a term of another concept to contrast with"]
    assert len(found) == 2 * (len(set(offered)) - without)
    assert conversion.left_out["synonym that repeats another term"] == len(offered) - len(set(offered))
    assert conversion.left_out["name that is suppressed or not English"] == len(strings) - len(offered)
