"""MIMIC-Cause: directed labels in every spelling, tags in either order, and archives that are not to be trusted."""

import contextlib
import csv
import io
import json
import zipfile

import mdkif_dataset_mimic_cause as plugin
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, Record, convert, hashed_split
from mdkif.testing import assert_conforms
from mdkif_dataset_mimic_cause import unpacking

[DATASET] = plugin.mdkif_datasets()
HEADER = ["E1", "E2", "Text", "Label"]
TEXT = "Her <e1>rash</e1> is due to <e2>penicillin</e2>."
READABLE = (
    "e1 causes e2",
    "e2 causes e1",
    "e1 enables e2",
    "e2 enables e1",
    "e1 prevents e2",
    "e2 prevents e1",
    "e1 hinders e2",
    "e2 hinders e1",
    "other",
)
OFFICIAL = [f"{verb}({pair})" for verb in ("Cause", "Enable", "Prevent", "Hinder") for pair in ("E1,E2", "E2,E1")]
OFFICIAL += ["Other"]


def table(*rows, header=HEADER, delimiter=","):
    """A table in the documented columns; a row is (text, label) or a full row."""
    out = io.StringIO(newline="")
    full = [row if len(row) != 2 else ("rash", "penicillin", *row) for row in rows]
    csv.writer(out, delimiter=delimiter).writerows([header, *full])
    return out.getvalue()


def archive(path, **members):
    """A zip archive; in a member's name the last underscore stands for the dot, a double one for a slash."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(".".join(name.rsplit("_", 1)).replace("__", "/"), content)
    return path


def write(folder, content, name="mimicause.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def run(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def test_mimic_cause_conforms():
    assert_conforms("mdkif-dataset-mimic-cause")


def test_mimic_cause_row_becomes_a_choice_among_nine_directed_relations(tmp_path):
    [record] = run(write(tmp_path, table((TEXT, "Cause(E2,E1)"))))
    assert record.id == "mimic-cause/mimicause.csv/2"
    assert record.query == f"How are e1 and e2 related? Choose from: {'; '.join(READABLE)}."
    assert (record.options, record.labels, record.answer) == (READABLE, ("e2 causes e1",), "e2 causes e1")
    assert record.query[slice(*record.spans[0])] == "e2 causes e1"
    assert record.context == TEXT
    assert record.source == "mimicause.csv:2"
    assert DATASET.stand_in == "ddi"


@given(
    place=st.integers(0, 8),
    space=st.sampled_from(["", " ", "  "]),
    change=st.sampled_from([str, str.upper, str.lower]),
)
def test_mimic_cause_label_may_be_spelt_in_any_case_and_spacing(tmp_path_factory, place, space, change):
    label = change(OFFICIAL[place]).replace(",", f"{space},{space}").replace("(", f"{space}({space}")
    [record] = run(write(tmp_path_factory.mktemp("cause"), table((TEXT, f"{space}{label}{space}"))))
    assert record.answer == READABLE[place]


def test_mimic_cause_label_may_be_its_number_in_the_official_order(tmp_path):
    records = run(write(tmp_path, table(*((TEXT, str(number)) for number in range(9)))))
    assert tuple(record.answer for record in records) == READABLE


def test_mimic_cause_tags_stay_where_they_are_even_if_the_second_entity_comes_first(tmp_path):
    text = "<e2>Pain</e2> after a fall, no other <e1>pain</e1>."
    [record] = run(write(tmp_path, table((text, "Other"))))
    assert record.context == text
    assert record.answer == "other"


def test_mimic_cause_one_entity_may_lie_in_the_other(tmp_path):
    [record] = run(write(tmp_path, table(("<e1>no <e2>pain</e2></e1>", "8"))))
    assert record.context == "<e1>no <e2>pain</e2></e1>"


def test_mimic_cause_deidentified_text_and_line_breaks_are_read_whole(tmp_path):
    text = "Seen [**2100-1-1**],\n  had a <e1>fall</e1>,\r\nthen <e2>pain</e2>."
    [record, after] = run(write(tmp_path, table((text, "0"), (TEXT, "1"))))
    assert record.context == "Seen [**2100-1-1**], had a <e1>fall</e1>, then <e2>pain</e2>."
    assert record.id != after.id


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("header", [HEADER, ["e1", "e2", "TEXT", " label "]])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_mimic_cause_tables_may_differ_in_delimiter_header_and_encoding(tmp_path, delimiter, header, encoding):
    text = TEXT.replace("rash", "café-au-lait spot")
    path = write(tmp_path, table((text, "0"), header=header, delimiter=delimiter).encode(encoding), "x.tsv")
    assert [record.context for record in run(path)] == [text]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_mimic_cause_empty_lines_and_other_line_ends_are_no_rows(tmp_path, end):
    content = table((TEXT, "0"), (TEXT, "1")).replace("\r\n", "\n\n").replace("\n", end) + ",,,"
    assert len(run(write(tmp_path, content))) == 2


def test_mimic_cause_archive_its_folder_and_its_table_are_the_same_source(tmp_path):
    content = table((TEXT, "0"), (TEXT, "1"))
    folder = tmp_path / "unpacked"
    folder.mkdir()
    path = write(folder, content)
    zipped = archive(tmp_path / "mimicause.zip", mimicause_csv=content, README_txt="Cite us.")
    assert run(path) == run(folder) == run(zipped)
    write(tmp_path, "Cite us.", "README.txt")
    assert [record.query for record in run(tmp_path)] == [record.query for record in run(zipped)]
    assert len({record.id for record in run(tmp_path)}) == 2


def test_mimic_cause_archive_beside_its_own_table_is_not_read_twice(tmp_path):
    content = table((TEXT, "0"))
    archive(tmp_path / "mimicause.zip", mimicause_csv=content)
    write(tmp_path, content)
    assert len(run(tmp_path)) == 1


def test_mimic_cause_folder_without_a_table_but_with_the_archive_will_do(tmp_path):
    archive(tmp_path / "mimicause.zip", data__mimicause_csv=table((TEXT, "0")))
    assert [record.id for record in run(tmp_path)] == ["mimic-cause/data/mimicause.csv/2"]


def test_mimic_cause_what_a_mac_adds_to_archives_is_passed_over(tmp_path):
    path = tmp_path / "mimicause.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimicause.csv", table((TEXT, "0")))
        file.writestr("__MACOSX/._mimicause.csv", table((TEXT, "0")))
    assert len(run(path)) == 1


def test_mimic_cause_sentences_are_one_group_whichever_entities_are_tagged(tmp_path):
    texts = ["<e1>A</e1> made <e2>B</e2> worse.", "<e2>A</e2> made B  <e1>worse</e1>.", "<e1>A</e1> cured <e2>B</e2>."]
    records = run(write(tmp_path, table(*((text, "0") for text in texts))))
    assert [record.group for record in records] == ["a made b worse", "a made b worse", "a cured b"]
    assert [record.split for record in records] == [hashed_split(record.group) for record in records]


def test_mimic_cause_column_that_names_the_note_gives_the_groups(tmp_path):
    rows = [("a", "b", TEXT, "0", "17"), ("a", "b", TEXT + "!", "1", " 17 "), ("a", "b", TEXT, "1", "")]
    records = run(write(tmp_path, table(*rows, header=[*HEADER, "Note_ID"])))
    assert [record.group for record in records] == ["17", "17", "her rash is due to penicillin"]


@pytest.mark.parametrize(
    ("text", "label", "reason"),
    [
        (TEXT.replace("<e2>", ""), "0", "Text without one"),
        (TEXT.replace("</e1>", ""), "0", "Text without one"),
        (TEXT + "<e1>SECRET</e1>", "0", "Text without one"),
        ("</e1>SECRET<e1> and <e2>x</e2>", "0", "Text without one"),
        ("<e1> </e1> and <e2>SECRET</e2>", "0", "Text without one"),
        ("<e1><e2></e2></e1> SECRET", "0", "Text without one"),
        ("", "0", "Text without one"),
        (TEXT, "9", "Label that is none of the nine"),
        (TEXT, "-1", "Label that is none of the nine"),
        (TEXT, "Cause(E1,E1)", "Label that is none of the nine"),
        (TEXT, "SECRET", "Label that is none of the nine"),
        (TEXT, "", "Label that is none of the nine"),
    ],
)
def test_mimic_cause_malformed_row_is_named_by_line_or_skipped(tmp_path, text, label, reason):
    path = write(tmp_path, table((TEXT, "0"), (text, label), (TEXT, "1")))
    with pytest.raises(BadInput, match=rf"mimicause\.csv:3 has a {reason}") as caught:
        run(path)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert len(run(path, conversion)) == 2
    assert sum(conversion.left_out.values()) == 1


def test_mimic_cause_row_that_is_cut_short_is_malformed(tmp_path):
    conversion = ConversionReport(skip_bad=True)
    assert len(run(write(tmp_path, table((TEXT, "0")) + "rash\nrash,x,y\n"), conversion)) == 1
    assert sum(conversion.left_out.values()) == 2


@pytest.fixture
def usual_limit():
    """That of Python's csv, which whatever ran before in this process may have raised."""
    before = csv.field_size_limit(2**17)
    yield
    csv.field_size_limit(before)


def test_mimic_cause_field_beyond_all_measure_is_malformed(tmp_path, usual_limit):
    path = write(tmp_path, table((TEXT, "0"), ("SECRET" * 200_000, "0"), (TEXT, "1")))
    with pytest.raises(BadInput, match=r"mimicause\.csv:3 has a field that is far too long") as caught:
        run(path)
    assert "SECRET" not in str(caught.value)
    assert len(run(path, ConversionReport(skip_bad=True))) == 2
    with pytest.raises(BadInput, match="no table with the columns"):
        run(write(tmp_path, "x" * 1_000_000 + "\n1"))


@pytest.mark.parametrize("content", ["", "\0\0", "\n", "a,b\n1,2\n", "Text\nx\n", '"Text,Label'])
def test_mimic_cause_files_without_the_columns_are_named(tmp_path, content):
    path = write(tmp_path, content)
    for source in (path, tmp_path, archive(tmp_path / "a.zip", x_csv=content)):
        with pytest.raises(BadInput, match="no table with the columns Text and Label"):
            run(source)
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")


def test_mimic_cause_text_with_a_nul_byte_is_text(tmp_path):
    assert [record.context for record in run(write(tmp_path, table((TEXT + "\0", "0"))))] == [TEXT + "\0"]


def test_mimic_cause_zip_bomb_is_refused_after_reading_no_more_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "LARGEST", 1 << 20)
    half = table((TEXT, "0")) + "\n" * (700 << 10)
    assert len(run(archive(tmp_path / "small.zip", a_csv=half))) == 1
    for bomb in (
        archive(tmp_path / "one.zip", a_csv=half * 2),
        archive(tmp_path / "many.zip", a_csv=half, b_csv=half),
        write(tmp_path, half * 2),
    ):
        with pytest.raises(BadInput, match="holds tables of more than 1 MB"):
            run(bomb)


def test_mimic_cause_size_an_archive_states_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "LARGEST", 1 << 20)
    path = archive(tmp_path / "lie.zip", a_csv=table((TEXT, "0")) + " " * (8 << 20))
    data = path.read_bytes()
    size = len(table((TEXT, "0")) + " " * (8 << 20)).to_bytes(4, "little")
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(BadInput):
        run(path)


def test_mimic_cause_encrypted_archive_is_named(tmp_path):
    data = bytearray(archive(tmp_path / "mimicause.zip", a_csv=table((TEXT, "0"))).read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag of encryption, in both headers
        data[data.index(signature) + offset] |= 1
    with pytest.raises(BadInput, match="is encrypted"):
        run(write(tmp_path, bytes(data), "mimicause.zip"))


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mimic_cause_damaged_archive_never_ends_in_another_error(tmp_path, data):
    content = archive(tmp_path / "whole.zip", a_csv=table((TEXT, "0"), (TEXT, "1"))).read_bytes()
    damaged = bytearray(content[: data.draw(st.integers(0, len(content)))])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        damaged[place : place + 1] = data.draw(st.binary(max_size=2))
    path = write(tmp_path, bytes(damaged), "damaged.zip")
    with contextlib.suppress(BadInput):
        assert {record.options for record in run(path, ConversionReport(skip_bad=True))} <= {READABLE}


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200), st.sampled_from(OFFICIAL))
def test_mimic_cause_any_text_survives(tmp_path, text, label):
    clean = text.replace("<", "(").encode("utf-8", "replace").decode()
    [record] = run(write(tmp_path, table((f"{clean} {TEXT}", label))))
    assert record.context == " ".join(f"{clean} {TEXT}".split())
    assert record.query[slice(*record.spans[0])] == record.answer
    assert Record.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_mimic_cause_has_no_options(tmp_path):
    with pytest.raises(BadInput, match="no option 'view'"):
        run(write(tmp_path, table((TEXT, "0"))), view="x")
