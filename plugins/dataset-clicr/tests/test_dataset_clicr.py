"""CliCR: marks, placeholders, synonyms and answers that stand nowhere."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms
from mdkif_dataset_clicr import mdkif_datasets

[CLICR] = mdkif_datasets()
TITLE = "A rare cause of BEG__chest pain__END"
BODY = """Background
A woman of 40 was seen . She had no BEG__fever__END .
BEG__Computed tomography__END showed an BEG__aortic dissection__END. It was repaired .
The woman recovered . She went home . Nobody was told ."""


def found(text="aortic dissection", *synonyms, **changes):
    """The answers of a query: the one of the text, then synonyms of the UMLS."""
    texts = [(text, "dataset"), *((synonym, "UMLS") for synonym in synonyms)]
    return [{"text": t, "cui": "C1", "sem_type": "problem", "origin": origin, **changes} for t, origin in texts]


def query(answers=None, text="Always think of @placeholder .", number=1):
    return {"id": f"bcr-1.{number}", "query": text, "answers": found() if answers is None else answers}


def case(*queries, source="bcr-1", title=TITLE, context=BODY):
    return {"document": {"context": context, "title": title, "qas": list(queries)}, "source": source}


def write(folder, split, *cases):
    path = folder / f"{split}1.0.json"
    path.write_text(json.dumps({"version": "1.0", "data": list(cases)}), encoding="utf-8")
    return path


def run(source, conversion=None, **options):
    return list(convert(CLICR, source, conversion or ConversionReport(), options))


def one(folder, *queries, **options):
    [record] = run(write(folder, "train", case(*(queries or [query()]))), **options)
    return record


def texts(record):
    return [record.context[slice(*span)] for span in record.spans]


def test_clicr_conforms():
    assert_conforms("mdkif-dataset-clicr")


def test_clicr_query_becomes_a_cloze_about_the_title_and_the_sentences_around_the_answer(tmp_path):
    record = one(tmp_path, window=1)
    assert record.id == "clicr/bcr-1.1"
    assert record.query == "Fill in @placeholder: Always think of @placeholder ."
    assert record.context == (
        "A rare cause of chest pain\n"
        "She had no fever .\nComputed tomography showed an aortic dissection.\nIt was repaired ."
    )
    assert (record.answer, record.labels, record.options) == ("aortic dissection", ("aortic dissection",), ())
    assert texts(record) == ["aortic dissection"]
    assert (record.split, record.group) == ("train", "bcr-1")
    assert record.source == "train1.0.json:data[0].qas[0]"


@pytest.mark.parametrize(("window", "sentences"), [(0, 1), ("1", 3), (2, 5), (99, 8), ("all", 8)])
def test_clicr_window_is_a_number_of_sentences(tmp_path, window, sentences):
    context = one(tmp_path, window=window).context.split("\n")
    assert context[0] == "A rare cause of chest pain"
    assert len(context) == 1 + sentences


def test_clicr_no_mark_of_an_entity_is_left(tmp_path):
    marked = query(found("BEG__aortic dissection__END"), "BEG__Pain__END, then @placeholder")
    record = one(tmp_path, marked, window="all")
    assert "__" not in json.dumps(record.to_dict())
    assert record.query == "Fill in @placeholder: Pain, then @placeholder"
    assert texts(record) == ["aortic dissection"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Learning points\nThink of @placeholder , always .\nAnd more .", "Think of @placeholder , always ."),
        ("@placeholderis bad", "@placeholder is bad"),
        ("non@placeholder", "non @placeholder"),
        ("  It   is (@placeholder) .", "It is (@placeholder) ."),
        ("@placeholder after @placeholder", "@placeholder after @placeholder"),
    ],
)
def test_clicr_line_with_the_placeholder_is_the_query(tmp_path, text, line):
    assert one(tmp_path, query(text=text)).query == f"Fill in @placeholder: {line}"


def test_clicr_answer_of_the_text_comes_before_its_synonyms(tmp_path):
    answers = found("aortic dissection", "Dissecting aneurysm", "AORTIC  DISSECTION", "dissection of aorta", "")
    record = one(tmp_path, query(answers[::-1]))
    assert record.answer == "aortic dissection"
    assert set(record.labels[1:]) == {"Dissecting aneurysm", "dissection of aorta"}


def test_clicr_synonym_that_stands_in_the_report_is_its_place(tmp_path):
    record = one(tmp_path, query(found("pyrexia", "FEVER", "temperature")), window=0)
    assert record.labels == ("pyrexia", "FEVER", "temperature")
    assert record.answer == "pyrexia"
    assert texts(record) == ["fever"]
    assert record.context.split("\n")[1:] == ["She had no fever ."]


def test_clicr_every_place_of_the_answer_in_the_context_is_a_span(tmp_path):
    assert texts(one(tmp_path, query(found("woman")), window="all")) == ["woman", "woman"]
    assert texts(one(tmp_path, query(found("woman")))) == ["woman"]


def test_clicr_answer_of_the_title_alone_comes_with_the_first_sentences(tmp_path):
    record = one(tmp_path, query(found("Chest Pain")), window=1)
    assert record.context == "A rare cause of chest pain\nBackground"
    assert texts(record) == ["chest pain"]


def test_clicr_answer_may_run_over_what_looks_like_the_end_of_a_sentence(tmp_path):
    report = case(query(found("S. Typhi")), context="Cultures grew S. Typhi at once . He was treated .")
    [record] = run(write(tmp_path, "dev", report), window=0)
    assert texts(record) == ["S.\nTyphi"]


def test_clicr_answer_that_stands_nowhere_is_left_out_or_kept_with_the_whole_report(tmp_path):
    path = write(tmp_path, "test", case(query(found("myocarditis", "dissect")), query(number=2)))
    conversion = ConversionReport()
    assert [record.id for record in run(path, conversion)] == ["clicr/bcr-1.2"]
    assert conversion.left_out == {"answer not in the case report": 1}
    kept = run(path, notfound="keep")[0]
    assert (kept.answer, kept.spans) == ("myocarditis", ())
    assert kept.context == one(tmp_path, window="all").context


def test_clicr_official_splits_are_kept_whatever_the_group(tmp_path):
    for number, split in enumerate(("train", "dev", "test")):
        write(tmp_path, split, case(query(number=number)), case(query(number=number + 10), source="bcr-2"))
    conversion = ConversionReport()
    assert len(run(tmp_path, conversion)) == 6
    assert conversion.splits == {"train": 2, "dev": 2, "test": 2}
    assert {record.split for record in run(tmp_path / "dev1.0.json")} == {"dev"}
    (tmp_path / "train1.0.json").unlink()
    assert len(run(tmp_path)) == 4


def test_clicr_query_that_occurs_twice_is_left_out(tmp_path):
    conversion = ConversionReport()
    assert len(run(write(tmp_path, "train", case(query(), query()), case(query())), conversion)) == 1
    assert conversion.left_out == {"duplicate id": 2}


def test_clicr_latin_1_a_byte_order_mark_and_other_line_ends_are_read(tmp_path):
    path = write(tmp_path, "train", case(query(), title="Café"))
    text = json.dumps(json.loads(path.read_text()), ensure_ascii=False, indent=1)
    expected = run(path)
    for raw in (text.encode("latin-1"), text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode()):
        path.write_bytes(raw)
        assert run(path) == expected
    assert expected[0].context.startswith("Café\n")


word = st.sampled_from(["aorta", "BEG__aorta__END", "pain.", "The", "BEG__chest", "wall__END", "of", "\n", "é"])


@settings(max_examples=60, deadline=None)
@given(body=st.lists(word, max_size=40), window=st.integers(0, 3) | st.just("all"), title=st.lists(word, max_size=3))
def test_clicr_spans_match_the_answer_wherever_it_stands(tmp_path_factory, body, window, title):
    report = case(query(found("chest wall", "Aorta")), context=" ".join(body), title=" ".join(title))
    [record] = run(write(tmp_path_factory.mktemp("clicr"), "dev", report), window=window, notfound="keep")
    plain = " ".join((" ".join(title + body)).replace("BEG__", "").replace("__END", "").split())
    assert bool(record.spans) == ("aorta" in plain or "chest wall" in plain)
    assert {" ".join(text.split()) for text in texts(record)} in (set(), {"chest wall"}, {"aorta"})
    if window == "all" or not record.spans:
        assert " ".join(record.context.split()) == plain


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        ("SECRET", r"data\[1\] is not a case report"),
        ({"source": "SECRET", "document": {"title": "x"}}, r"data\[1\] is not a case report"),
        ({"document": case()["document"]}, r"data\[1\] is not a case report"),
        (case(source="s", title=None), r"data\[1\] is not a case report"),
        (case("SECRET"), r"data\[1\]\.qas\[0\] is not a query"),
        (case(query(text="SECRET without its place")), r"data\[1\]\.qas\[0\] is not a query"),
        (case(query(answers=[])), r"data\[1\]\.qas\[0\] is not a query"),
        (case(query(answers=found(origin="UMLS"))), r"data\[1\]\.qas\[0\] is not a query"),
        (case(query(answers=found("BEG__ __END"))), r"data\[1\]\.qas\[0\] is not a query"),
        (case(query(answers=found(None))), r"data\[1\]\.qas\[0\] is not a query"),
        (case({**query(), "id": ["SECRET"]}), r"data\[1\]\.qas\[0\] is not a query"),
    ],
)
def test_clicr_malformed_case_or_query_is_named_or_skipped(tmp_path, bad, place):
    write(tmp_path, "dev", case(query()), bad, case(query(number=2)))
    with pytest.raises(BadInput, match=rf"dev1\.0\.json:{place}") as caught:
        run(tmp_path)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert len(run(tmp_path, conversion)) == 2
    assert sum(conversion.left_out.values()) == 1


@pytest.mark.parametrize("text", ["", "{", '{"data": [SECRET', '{"data": [{"a": "\0"}]}', '{"data": []} x'])
def test_clicr_file_that_is_no_json_is_refused(tmp_path, text):
    (tmp_path / "train1.0.json").write_text(text)
    with pytest.raises(BadInput, match=r"train1\.0\.json is not well-formed JSON"):
        run(tmp_path, ConversionReport(skip_bad=True))


@pytest.mark.parametrize("text", ["7", "[]", '[{"a": 1}]', '{"data": 7}', '{"data": {"SECRET": {}}}'])
def test_clicr_file_without_a_list_of_cases_is_refused(tmp_path, text):
    (tmp_path / "train1.0.json").write_text(text)
    with pytest.raises(BadInput, match=r"train1\.0\.json has no case reports below data"):
        run(tmp_path)


def test_clicr_wrong_sources_and_options_are_refused(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"none of train1\.0\.json, dev1\.0\.json, test1\.0\.json"):
        run(tmp_path)
    for text in ("{}", "[1, [2]]", '{"data": []}'):
        (tmp_path / "train1.0.json").write_text(text)
        with pytest.raises(BadInput, match="no case reports below data"):
            run(tmp_path)
    write(tmp_path, "train", case(query()))
    with pytest.raises(BadInput, match="choose from leave-out, keep"):
        run(tmp_path, notfound="drop")
    with pytest.raises(BadInput, match="whole number from 0 up, or all"):
        run(tmp_path, window=-1)
