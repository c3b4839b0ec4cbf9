"""emrQA: streamed JSON, notes as lines or text, paraphrases, and answers that must be found in the note."""

import json

import mdkif_dataset_emrqa as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms
from mdkif_dataset_emrqa import stream

DATASET = plugin.mdkif_datasets()[0]
LINES = [
    "Admission Date :\n",
    "2010-01-01\n",
    "HISTORY :\n",
    "Mr. X has  diabetes and was given Insulin Glargine\n",
    "20 units at night , BP &lt; 140 .\n",
    "He takes lasix 40 mg daily for edema .\n",
    "lasix was stopped , lasix was resumed .\n",
    "\n",
    "Discharged home .\n",
]


def answer(text="lasix", line=6, token=2, kind="single", evidence=None, **changes):
    """One answer as the generators of emrQA write it; the evidence is the answer's line unless given."""
    evidence = LINES[line - 1] if evidence is None else evidence
    fields = {"answer_start": [line, token], "text": text, "evidence": evidence, "evidence_start": line}
    return {**fields, "answer_entity_type": kind, **changes}


def asked(*answers, question=("Is he on |medication|?", "Has he ever taken it?")):
    return {"question": list(question), "id": [["x", "y"], "logical form"], "answers": list(answers)}


def note(*questions, name="0001", context=LINES):
    return {"note_id": name, "context": context, "qas": list(questions)}


def write(folder, *sets, encoding="utf-8"):
    """data.json; each set is (title, notes). Keys stand in the generator's order: notes before their title."""
    data = {"data": [{"paragraphs": notes, "title": title} for title, notes in sets]}
    path = folder / "data.json"
    path.write_text(json.dumps(data, ensure_ascii=encoding == "ascii"), encoding=encoding)
    return path


def run(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def one(folder, *answers, **options):
    """The record of a question with these answers and, if there is none, why."""
    conversion = ConversionReport()
    records = run(write(folder, ("medication", [note(asked(*answers))])), conversion, **options)
    return records[0] if records else next(iter(conversion.left_out))


def texts(record):
    return [record.context[slice(*span)] for span in record.spans]


def test_emrqa_conforms():
    assert_conforms("mdkif-dataset-emrqa")


def test_emrqa_question_becomes_a_record_about_the_lines_around_its_answer(tmp_path):
    record = one(tmp_path, answer(), window=1)
    assert record.id == "emrqa/medication/0.0.0.0"
    assert record.query == "Is he on |medication|?"
    assert record.context == (
        "20 units at night , BP < 140 .\n"
        "He takes lasix 40 mg daily for edema .\n"
        "lasix was stopped , lasix was resumed ."
    )
    assert (record.answer, record.labels, record.options) == ("lasix", ("lasix",), ())
    assert record.spans == ((40, 45),)
    assert record.group == "0001"
    assert record.source == "data.json:data[0].paragraphs[0].qas[0]"


@pytest.mark.parametrize(("line", "token", "start"), [(6, 2, 9), (7, 0, 0), (7, 4, 20), (7, 1, 20), (6, "", 9)])
def test_emrqa_answer_starts_at_a_line_from_one_and_a_token_from_zero(tmp_path, line, token, start):
    record = one(tmp_path, answer(line=line, token=token), window=0)
    assert record.spans == ((start, start + 5),)
    assert record.context.split()[0] == ("He" if line == 6 else "lasix")


def test_emrqa_answer_is_found_whatever_its_case_spacing_and_line_breaks(tmp_path):
    record = one(tmp_path, answer("insulin  glargine 20 units", line=4, token=6), window=0)
    assert record.answer == "Insulin Glargine 20 units"
    assert texts(record) == ["Insulin Glargine\n20 units"]
    assert record.context.count("\n") == 1


def test_emrqa_answer_whose_place_is_wrong_is_looked_for_in_the_whole_note(tmp_path):
    assert texts(one(tmp_path, answer("diabetes", line=9, token=0))) == ["diabetes"]
    assert texts(one(tmp_path, answer("diabetes", line=999, token=0, evidence="x"))) == ["diabetes"]
    assert texts(one(tmp_path, answer("diabetes", evidence="x", answer_start=""))) == ["diabetes"]


def test_emrqa_answer_is_no_part_of_a_word(tmp_path):
    assert one(tmp_path, answer("diabet", line=4, token=3)) == "answer not in the note"


def test_emrqa_entities_of_html_are_read_in_notes_answers_and_questions(tmp_path):
    question = asked(answer("bp &lt; 140", line=5, token=5), question=["Is it &apos;low&apos; &amp; safe ?"])
    [record] = run(write(tmp_path, ("medication", [note(question)])))
    assert record.answer == "BP < 140"
    assert record.query == "Is it 'low' & safe ?"


def test_emrqa_without_an_entity_the_evidence_is_the_answer(tmp_path):
    record = one(tmp_path, answer("", line=7, token="", kind="empty"), window=0)
    assert record.answer == "lasix was stopped , lasix was resumed"  # without the full stop, as CliniRC
    assert texts(record) == [record.answer]


def test_emrqa_evidence_loses_its_last_words_until_the_rest_is_found(tmp_path):
    joined = LINES[5] + "," + LINES[6]  # the generator joins the lines of an annotation with commas
    record = one(tmp_path, answer("", line=6, token="", kind="empty", evidence=joined), window=0)
    assert record.answer == "He takes lasix 40 mg daily for edema"
    assert one(tmp_path, answer("", kind="empty", evidence="zzz yyy .")) == "answer not in the note"


def test_emrqa_evidence_is_found_in_its_own_line_first(tmp_path):
    context = ["He is well .", "He is ill .", "He is well ."]
    question = asked(answer("", line=3, token="", kind="empty", evidence="He is well .\n"))
    [record] = run(write(tmp_path, ("relations", [note(question, context=context)])), window="all")
    assert record.spans == ((25, 35),)


def test_emrqa_several_answers_are_labels_if_they_stand_in_the_context(tmp_path):
    answers = [answer(line=7, token=0), answer(line=7, token=4), answer("edema", line=6, token=7)]
    answers.append(answer("diabetes", line=4, token=3))
    near, whole = one(tmp_path, *answers, window=1), one(tmp_path, *answers, window="all")
    assert near.labels == ("lasix", "edema")
    assert texts(near) == ["lasix", "lasix", "edema"]
    assert whole.labels == ("lasix", "edema", "diabetes")
    assert whole.context.count("\n") == len(LINES) - 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "complex"}, "complex answer"),
        ({"text": ["lasix", "40 mg"], "evidence": ["a", "b"], "kind": "complex"}, "complex answer"),
        ({"text": ["lasix", "40 mg"]}, "complex answer"),
        ({"text": "warfarin"}, "answer not in the note"),
    ],
)
def test_emrqa_answers_that_are_no_words_of_the_note_are_left_out(tmp_path, changes, reason):
    assert one(tmp_path, answer(**changes)) == reason
    assert one(tmp_path, answer(**changes), answer()).answer == "lasix"


def test_emrqa_answers_of_twenty_words_are_left_out(tmp_path):
    context = [" ".join(f"w{number}" for number in range(25))]
    for count, expected in ((19, 1), (20, 0)):
        text = " ".join(context[0].split()[:count])
        conversion = ConversionReport()
        path = write(tmp_path, ("medication", [note(asked(answer(text, 1, 0, evidence=text)), context=context)]))
        assert len(run(path, conversion)) == expected
    assert conversion.left_out == {"answer of 20 words or more": 1}


def test_emrqa_place_in_characters_as_in_the_risk_set_is_no_obstacle(tmp_path):
    context = ["Record date: 2060", "He smokes", "and has CAD ."]
    answers = [
        answer("CAD", evidence="CAD", answer_start=[36, 39]),
        answer("smokes", evidence="smokes", answer_start=21),
    ]
    path = write(tmp_path, ("risk-dataset", [note(asked(*answers), context="\n".join(context))]))
    [record] = run(path, sets="risk")
    assert record.labels == ("CAD", "smokes")
    assert record.context == "\n".join(context)


def test_emrqa_note_may_be_one_very_long_line(tmp_path):
    context = ["word " * 200_000 + "lasix"]
    path = write(tmp_path, ("medication", [note(asked(answer(line=1, token=200_000)), context=context, name=7)]))
    [record] = run(path)
    assert record.spans == ((1_000_000, 1_000_005),)
    assert record.group == "7"


def test_emrqa_set_without_a_title_is_of_no_known_set(tmp_path):
    path = write(tmp_path, ("medication", [note(asked(answer()))]))
    path.write_text(path.read_text().replace('"title"', '"name"'))
    conversion = ConversionReport()
    assert run(path, conversion) == []
    assert conversion.left_out == {"note of another set": 1}


def test_emrqa_notes_at_the_place_of_others_are_left_out(tmp_path):
    path = write(tmp_path, ("medication", [note(asked(answer()))]))
    path.write_text(f"{path.read_text('utf-8')[:-1]},{path.read_text('utf-8')[1:]}", "utf-8")
    conversion = ConversionReport()
    assert len(run(tmp_path, conversion)) == 1
    assert conversion.left_out == {"note at the place of another": 1}


def test_emrqa_question_without_answers_is_left_out(tmp_path):
    assert one(tmp_path) == "no answer"


def test_emrqa_class_of_smoking_or_obesity_is_asked_about_the_whole_note(tmp_path):
    label = {"answer_start": "", "text": "current smoker", "evidence": "", "evidence_start": ""}
    path = write(tmp_path, ("smoking", [note(asked(label), context="He smokes .\n\nHe is well .")]))
    [record] = run(path, sets="smoking")
    assert (record.answer, record.labels, record.spans) == ("current smoker", ("current smoker",), ())
    assert record.context == "He smokes .\n\nHe is well ."


def test_emrqa_paraphrases_are_one_record_or_all(tmp_path):
    path = write(tmp_path, ("medication", [note(asked(answer()), asked(answer("edema", 6, 7)))]))
    assert [record.id[-3:] for record in run(path)] == ["0.0", "1.0"]
    records = run(path, paraphrases="all")
    assert [record.id[-3:] for record in records] == ["0.0", "0.1", "1.0", "1.1"]
    assert [record.query for record in records[:2]] == ["Is he on |medication|?", "Has he ever taken it?"]


def test_emrqa_sets_are_chosen_by_title_though_it_comes_after_the_notes(tmp_path):
    titles = ["medication", "relations", "risk-dataset", "smoking", "obesity"]
    path = write(tmp_path, *((title, [note(asked(answer()), name=f"n{title}")] * 2) for title in titles))
    conversion = ConversionReport()
    records = run(path, conversion)
    assert [record.group for record in records] == ["nmedication"] * 2 + ["nrelations"] * 2
    assert conversion.left_out == {"note of another set": 6}
    assert {record.id.split("/")[1] for record in run(path, sets="risk, smoking")} == {"risk", "smoking"}
    ids = [record.id for record in run(path, sets=",".join(plugin.SETS))]
    assert len(ids) == len(set(ids)) == 10  # a note that occurs twice keeps both its questions


def test_emrqa_titles_that_come_first_are_read_once(tmp_path, monkeypatch):
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"data": [{"title": "medication", "paragraphs": [note(asked(answer()))] * 2}]}))
    reads = []

    def counted(path, depth):
        reads.append(path)
        return stream(path, depth)

    monkeypatch.setattr(plugin, "stream", counted)
    assert len(run(path)) == 2
    assert reads == [path]


def test_emrqa_all_questions_of_a_note_are_in_one_split(tmp_path):
    names = [f"{number:04}" for number in range(40)]
    questions = [asked(answer()), asked(answer("edema", 6, 7))]
    records = run(write(tmp_path, *((title, [note(*questions, name=name) for name in names]) for title in plugin.SETS)))
    assert len(records) == 160
    assert len({(record.group, record.split) for record in records}) == 40
    assert {record.split for record in records} == {"train", "dev", "test"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "ascii"])
def test_emrqa_utf_8_and_latin_1_are_read(tmp_path, encoding):
    context = ["Né à 37 °C , naïve ."]
    path = write(tmp_path, ("medication", [note(asked(answer("né à", 1, 0)), context=context)]), encoding=encoding)
    [record] = run(path)
    assert (record.answer, record.context) == ("Né à", "Né à 37 °C , naïve .")


def test_emrqa_file_of_both_encodings_is_read(tmp_path):
    path = write(tmp_path, ("medication", [note(asked(answer()), name=name) for name in ("é", "è")]))
    path.write_bytes(path.read_bytes().replace("è".encode(), "è".encode("latin-1")))
    assert [record.group for record in run(path)] == ["é", "è"]


def test_emrqa_folder_n2c2_distributes_is_a_source(tmp_path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    path = write(folder, ("medication", [note(asked(answer()))]))
    assert run(tmp_path) == run(folder) == run(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sets": "medications"}, "choose from medication, relations, risk, smoking, obesity"),
        ({"paraphrases": "some"}, "choose from first, all"),
        ({"window": "-1"}, "give a whole number from 0 up, or all"),
        ({"window": "few"}, "give a whole number from 0 up, or all"),
        ({"lines": 1}, "its options are sets, paraphrases, window"),
    ],
)
def test_emrqa_wrong_options_are_refused(tmp_path, options, message):
    path = write(tmp_path, ("medication", [note(asked(answer()))]))
    with pytest.raises(BadInput, match=message):
        run(path, **options)


def test_emrqa_wrong_sources_are_named(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"no data\.json in"):
        run(tmp_path)
    for text in ("{}", "[]", '"SECRET"', '{"data": []}', '{"data": [{"paragraphs": "SECRET"}]}', "12"):
        (tmp_path / "data.json").write_text(text)
        with pytest.raises(BadInput, match="has no paragraphs below data") as caught:
            run(tmp_path)
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        ({"note_id": "1", "qas": []}, r"data\[0\]\.paragraphs\[1\] is not a note"),
        ("SECRET", r"data\[0\]\.paragraphs\[1\] is not a note"),
        (note(name="1", context=[1, "SECRET"]), r"data\[0\]\.paragraphs\[1\] is not a note"),
        (note({"question": ["SECRET"]}), r"data\[0\]\.paragraphs\[1\]\.qas\[0\] is not a question"),
        (note(asked(answer(), question=[])), r"data\[0\]\.paragraphs\[1\]\.qas\[0\] is not a question"),
        (note(asked(answer(), question=[" "])), r"data\[0\]\.paragraphs\[1\]\.qas\[0\] is not a question"),
        (note(asked({"text": "SECRET"})), r"data\[0\]\.paragraphs\[1\]\.qas\[0\] is not a question"),
        (note(asked("SECRET")), r"data\[0\]\.paragraphs\[1\]\.qas\[0\] is not a question"),
        (note("SECRET"), r"data\[0\]\.paragraphs\[1\]\.qas\[0\] is not a question"),
    ],
)
def test_emrqa_malformed_note_or_question_is_named_or_skipped(tmp_path, bad, place):
    path = write(tmp_path, ("medication", [note(asked(answer())), bad, note(asked(answer()))]))
    with pytest.raises(BadInput, match=place) as caught:
        run(path)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert len(run(path, conversion)) == 2
    assert sum(conversion.left_out.values()) == 1


def cut(text):
    return text[: len(text) // 2]


@pytest.mark.parametrize(
    "spoil",
    [
        cut,
        lambda text: "",
        lambda text: text.replace("lasix", "la\0six"),
        lambda text: text.replace(": ", " ", 1),
        lambda text: text.replace("note_id", 'note"id'),
        lambda text: text + "{}",
        lambda text: text[:-1],
        lambda text: text[:-1] + ",}",
        lambda text: '{"data": [' + "[" * 100_000,
        lambda text: '{"data": ' + "1" * 10_000,
        lambda text: '{"a": "' + "x" * 1_000_000,
        lambda text: "{1: 2}",
        lambda text: "not JSON, but a SECRET",
    ],
)
def test_emrqa_file_that_is_no_json_is_refused_without_its_text(tmp_path, spoil):
    path = write(tmp_path, ("medication", [note(asked(answer()))]))
    path.write_text(spoil(path.read_text()))
    with pytest.raises(BadInput, match=r"is not well-formed JSON from its character \d+ on") as caught:
        run(path, ConversionReport(skip_bad=True))
    assert "SECRET" not in str(caught.value)
