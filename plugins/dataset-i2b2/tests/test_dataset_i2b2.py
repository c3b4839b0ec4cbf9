"""i2b2/VA 2010: token positions, the official folders, and annotations that cannot be used."""

import os
from pathlib import Path

import mdkif_dataset_i2b2 as plugin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms

[DATASET] = plugin.mdkif_datasets()
OPEN = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "CliNER_examples"

TEXT = "Admission Date :\n1 . Renal Carcinoma , treated with Aspirin .\n\nThe chest CT was normal .\n"
CARCINOMA = 'c="renal carcinoma" 2:2 2:3||t="problem"'
ASPIRIN = 'c="aspirin" 2:7 2:7||t="treatment"'
CT = 'c="the chest ct" 4:0 4:2||t="test"'


def write(folder, name="record-1", text=TEXT, concepts=(CARCINOMA, ASPIRIN, CT), txt=None):
    """A note and its concepts, side by side or in two folders."""
    for place in (folder, txt or folder):
        place.mkdir(parents=True, exist_ok=True)
    note, path = (txt or folder) / f"{name}.txt", folder / f"{name}.con"
    note.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.write_bytes(concepts if isinstance(concepts, bytes) else "\n".join([*concepts, ""]).encode())
    return path


def run(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def texts(record):
    return [record.context[start:end] for start, end in record.spans]


def test_i2b2_conforms():
    assert_conforms("mdkif-dataset-i2b2")


def test_i2b2_sentence_becomes_the_papers_lines(tmp_path):
    conversion = ConversionReport()
    first, second = run(write(tmp_path).parent, conversion)
    assert first.query == 'Which problems, tests and treatments does the text name? Write one "type: entity" a line.'
    assert first.context == "1 . Renal Carcinoma , treated with Aspirin ."
    assert first.answer == "problem: Renal Carcinoma\ntreatment: Aspirin"
    assert first.labels == ("problem: Renal Carcinoma", "treatment: Aspirin")
    assert texts(first) == ["Renal Carcinoma", "Aspirin"]
    assert (first.id, first.group, first.source) == ("i2b2/record-1/2", "record-1", "record-1.txt:2")
    assert second.answer == "test: The chest CT"
    assert conversion.left_out == {"no concept": 1}


def test_i2b2_lines_without_a_concept_are_kept_on_demand_but_never_blank_ones(tmp_path):
    write(tmp_path)
    conversion = ConversionReport()
    records = run(tmp_path, conversion, keep_empty="yes")
    assert [record.id for record in records] == ["i2b2/record-1/1", "i2b2/record-1/2", "i2b2/record-1/4"]
    assert (records[0].answer, records[0].labels, records[0].spans) == ("none", (), ())
    assert not conversion.left_out


@pytest.mark.parametrize("lines", [4, "4"])
def test_i2b2_several_lines_make_a_record(tmp_path, lines):
    write(tmp_path)
    [record] = run(tmp_path, lines=lines)
    assert record.context == "\n".join(TEXT.split("\n")[:4])
    assert texts(record) == ["Renal Carcinoma", "Aspirin", "The chest CT"]
    pairs = run(tmp_path, lines=2)
    assert [(record.id, len(record.spans)) for record in pairs] == [("i2b2/record-1/1", 2), ("i2b2/record-1/3", 1)]


@pytest.fixture
def official(tmp_path):
    """The three archives, extracted: the test notes lie in a folder of their own, without a folder txt."""
    training = tmp_path / "concept_assertion_relation_training_data"
    for part, name in (("beth", "record-13"), ("partners", "018636330_DH")):
        write(training / part / "concept", name, txt=training / part / "txt")
        (training / part / "rel").mkdir()
        (training / part / "rel" / f"{name}.rel").write_text("not read")
    write(tmp_path / "reference_standard_for_test_data" / "concepts", "0001", txt=tmp_path / "test_data")
    return tmp_path


def test_i2b2_official_folders_are_the_official_splits(official):
    conversion = ConversionReport()
    records = run(official, conversion)
    assert conversion.splits == {"train": 4, "test": 2}
    assert {record.group: record.split for record in records} == {
        "concept_assertion_relation_training_data/beth/record-13": "train",
        "concept_assertion_relation_training_data/partners/018636330_DH": "train",
        "test_data/0001": "test",
    }
    assert len({record.id for record in records}) == 6
    assert records[-1].source == "test_data/0001.txt:4"


def test_i2b2_test_data_may_have_folders_of_its_own(official):
    """As in the layouts in which others have arranged it."""
    (official / "test_data" / "txt").mkdir()
    (official / "test_data" / "0001.txt").rename(official / "test_data" / "txt" / "0001.txt")
    (official / "reference_standard_for_test_data" / "concepts").rename(official / "test_data" / "concept")
    assert [record.id for record in run(official)[-2:]] == ["i2b2/test_data/0001/2", "i2b2/test_data/0001/4"]
    assert {record.split for record in run(official / "test_data")} == {"test"}


def test_i2b2_part_of_the_distribution_keeps_its_split(official, monkeypatch):
    training = official / "concept_assertion_relation_training_data"
    assert [record.split for record in run(training)] == ["train"] * 4
    assert [record.split for record in run(training / "beth")] == ["train"] * 2
    [first, _] = run(training / "beth" / "concept" / "record-13.con")
    assert (first.split, first.group, first.source) == ("train", "record-13", "txt/record-13.txt:2")
    monkeypatch.chdir(training / "beth")
    assert [record.split for record in run(Path())] == ["train"] * 2


def test_i2b2_notes_of_ones_own_have_no_official_split(tmp_path):
    """The core divides them by note: all records of one are in one split."""
    for number in range(8):
        write(tmp_path, f"note-{number}")
    splits = {(record.group, record.split) for record in run(tmp_path)}
    assert len(splits) == 8
    assert len({split for _, split in splits}) > 1


def test_i2b2_notes_without_concepts_and_what_macos_adds_are_no_records(official):
    (official / "test_data" / "0002.txt").write_text("Not annotated .")
    beth = official / "concept_assertion_relation_training_data" / "beth"
    (beth / "concept" / "._record-13.con").write_bytes(b"\x00\x05\x16\x07")
    (beth / "txt" / "._record-13.txt").write_bytes(b"\x00\x05\x16\x07")
    write(official / "reference_standard_for_test_data" / "concept", "0001", txt=official / "test_data")
    conversion = ConversionReport()
    assert len(run(official, conversion)) == 6
    assert conversion.left_out == {"no concept": 3, "note without .con": 1, "second .con of a note": 1}


def test_i2b2_concepts_without_their_note_stop_the_conversion(official):
    (official / "test_data" / "0001.txt").unlink()
    with pytest.raises(BadInput, match=r"0001\.con is not in .*: give a folder that holds \.txt and \.con"):
        run(official)


@pytest.mark.parametrize("line", ["no  beta blocker , given", "no beta  blocker , given", " no  beta  blocker"])
@pytest.mark.parametrize("empty_tokens", [True, False])
def test_i2b2_two_spaces_are_read_in_the_way_that_finds_the_concept(tmp_path, line, empty_tokens):
    """With split(" ") two spaces enclose an empty token; other readers of the data take them for one gap."""
    tokens = line.split(" ") if empty_tokens else ([""] if line[0] == " " else []) + line.split()
    start, end = tokens.index("beta"), tokens.index("blocker")
    write(tmp_path, text=line, concepts=[f'c="beta blocker" 1:{start} 1:{end}||t="treatment"'])
    [record] = run(tmp_path)
    assert record.answer == "treatment: beta blocker"
    assert texts(record)[0].split() == ["beta", "blocker"]


def test_i2b2_only_a_space_separates_tokens(tmp_path):
    write(tmp_path, text="a\tb\u00a0c chest pain", concepts=['c="chest pain" 1:1 1:2||t="problem"'])
    [record] = run(tmp_path)
    assert texts(record) == ["chest pain"]


def test_i2b2_lines_before_the_text_and_rare_line_ends_do_not_shift_the_others(tmp_path):
    """A leading blank line counts; a form feed or the Unicode line separator ends no line."""
    write(tmp_path, text="\n\nfirst\x0cpage\u2028\x85 .\nchest pain\n", concepts=['c="pain" 4:1 4:1||t="problem"'])
    [record] = run(tmp_path)
    assert (record.id, record.answer) == ("i2b2/record-1/4", "problem: pain")


def test_i2b2_overlapping_concepts_stay_and_duplicates_do_not(tmp_path):
    concepts = [
        'c="chest ct" 4:1 4:2||t="test"',
        'c="chest" 4:1 4:1||t="problem"',
        CT,
        CT,
    ]
    write(tmp_path, concepts=concepts)
    [record] = run(tmp_path)
    assert record.labels == ("test: The chest CT", "problem: chest", "test: chest CT")


def test_i2b2_concept_over_two_lines_is_counted(tmp_path):
    write(tmp_path, concepts=[CT, 'c="aspirin . the" 2:7 4:0||t="treatment"'])
    conversion = ConversionReport()
    assert len(run(tmp_path, conversion, lines=4)) == 1
    assert conversion.left_out["concept over two lines"] == 1


@pytest.mark.parametrize(
    "place",
    [
        "2:2 2:2",
        "2:3 2:4",
        "3:0 3:1",
        "2:98 2:99",
        "0:2 0:3",
        "99:2 99:3",
        "2:3 2:2",
        "2:99 2:3",
        "999999999:0 999999999:0",
    ],
)
def test_i2b2_concept_that_is_not_where_it_points_is_counted(tmp_path, place):
    write(tmp_path, concepts=[CT, f'c="renal carcinoma" {place}||t="problem"', 'c="" 3:0 3:0||t="test"'])
    conversion = ConversionReport()
    assert len(run(tmp_path, conversion)) == 1
    assert conversion.left_out["concept that is not where it points"] == 2


def test_i2b2_quotation_marks_and_bars_may_be_part_of_a_concept(tmp_path):
    text = 'Noted " lump " 3:4 3:4||t= today'
    write(tmp_path, text=text, concepts=['c="" lump " 3:4 3:4||t=" 1:1 1:5||t="problem"'])
    [record] = run(tmp_path)
    assert texts(record) == ['" lump " 3:4 3:4||t=']


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_i2b2_encodings_and_line_ends_change_nothing(tmp_path, encoding, end):
    text, concept = "Ménière 's disease\nnext", 'c="ménière \'s disease" 1:0 1:2||t="problem"'
    write(
        tmp_path,
        text=text.replace("\n", end).encode(encoding),
        concepts=f"{concept}\n\n".replace("\n", end).encode(encoding),
    )
    [record] = run(tmp_path)
    assert (record.context, record.answer) == ("Ménière 's disease", "problem: Ménière 's disease")


@pytest.mark.parametrize(
    "row",
    [
        'c="SECRET" 2:2 2:3',
        'c="SECRET" 2:2||t="problem"',
        'c="SECRET" -1:2 2:3||t="problem"',
        'c="SECRET" 2:2 2:3||t="SECRET"',
        'c="SECRET" 2:2 2:3||t="problem"||a="present"',
        f'c="SECRET" {"9" * 5000}:2 2:3||t="problem"',
        "SECRET\0",
        'c="' * 300_000 + "SECRET",
    ],
)
def test_i2b2_malformed_row_is_named_by_line_or_skipped(tmp_path, row):
    path = write(tmp_path, concepts=[CARCINOMA, row, CT])
    with pytest.raises(BadInput, match=r"record-1\.con:2 is not c=") as caught:
        run(tmp_path)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert len(run(path, conversion)) == 2
    assert sum(conversion.left_out.values()) == 2  # the row, and the line without a concept


def test_i2b2_empty_files_have_no_records(tmp_path):
    write(tmp_path, text="", concepts=())
    assert run(tmp_path, keep_empty="yes") == []


def test_i2b2_very_long_line_is_read(tmp_path):
    write(tmp_path, text="word " * 250_000 + "pain", concepts=['c="pain" 1:250000 1:250000||t="problem"'])
    [record] = run(tmp_path)
    assert texts(record) == ["pain"]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_i2b2_any_bytes_are_read_or_refused(tmp_path_factory, text, concepts):
    folder = tmp_path_factory.mktemp("bytes")
    write(folder, text=text, concepts=concepts)
    for record in run(folder, ConversionReport(skip_bad=True), keep_empty="yes"):
        assert record.context.strip()


WORD = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=4).filter(lambda w: w.split() == [w])


@given(st.data())
def test_i2b2_every_concept_is_found_at_its_offsets(tmp_path_factory, data):
    lines = data.draw(st.lists(st.lists(WORD, max_size=6), min_size=1, max_size=6))
    nonempty = [number for number, line in enumerate(lines) if line]
    drawn, rows = [], []
    for _ in range(data.draw(st.integers(0, 5)) if nonempty else 0):
        number = data.draw(st.sampled_from(nonempty))
        start = data.draw(st.integers(0, len(lines[number]) - 1))
        end = data.draw(st.integers(start, len(lines[number]) - 1))
        words, kind = lines[number][start : end + 1], data.draw(st.sampled_from(plugin.TYPES))
        rows.append(f'c="{" ".join(words).lower()}" {number + 1}:{start} {number + 1}:{end}||t="{kind}"')
        drawn.append((number, start, end, f"{kind}: {' '.join(words)}"))
    folder = tmp_path_factory.mktemp("i2b2")
    write(folder, text="\n".join(map(" ".join, lines)), concepts=rows)
    size = data.draw(st.integers(1, 4))
    conversion = ConversionReport()
    records = run(folder, conversion, lines=size)
    assert set(conversion.left_out) <= {"no concept"}
    labels = [label for record in records for label in record.labels]
    assert sorted(labels) == sorted(label for *_, label in set(drawn))
    for record in records:
        assert [label.partition(": ")[2] for label in record.labels] == texts(record)


@pytest.mark.parametrize("lines", [0, -1, "two", "1.5", "", "9" * 5000])
def test_i2b2_wrong_number_of_lines_is_named(tmp_path, lines):
    with pytest.raises(BadInput, match=r"'lines' is .*: give a whole number from 1 up"):
        run(write(tmp_path), lines=lines)


def test_i2b2_wrong_options_and_sources_are_named(tmp_path):
    write(tmp_path / "notes")
    with pytest.raises(BadInput, match="'keep_empty' is 'maybe': choose from yes, no"):
        run(tmp_path, keep_empty="maybe")
    with pytest.raises(BadInput, match="has no option 'types'"):
        run(tmp_path, types="problem")
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "notes" / "record-1.txt"):
        with pytest.raises(BadInput, match=r"There is no \.con file at"):
            run(source)


@pytest.mark.skipif(not OPEN.is_dir(), reason=f"CliNER's examples are not at {OPEN}; set MDKIF_TEST_DATA")
def test_i2b2_every_concept_of_cliners_example_is_found():
    conversion = ConversionReport()
    records = run(OPEN, conversion)
    kinds = [label.partition(":")[0] for record in records for label in record.labels]
    assert [kinds.count(kind) for kind in ("problem", "treatment", "test")] == [28, 17, 13]
    assert set(conversion.left_out) <= {"no concept", "note without .con"}
    for record in records:
        assert [label.partition(": ")[2] for label in record.labels] == texts(record)
