"""What is extreme, hostile or broken is one sentence, in time, and nothing of it runs or is shown as it is."""

import json
import os
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, EvaluateSettings, MdkifError, Record, Toolkit, TrainSettings, text_lines
from mdkif.cli import main
from mdkif.core.adapters import composition
from mdkif.core.adapters.peft_files import CONFIG, WEIGHTS, check_patterns, read_adapter
from mdkif.core.console.app import run
from mdkif.core.console.tables import plain, print_json
from mdkif.core.data import record_files
from mdkif.core.data.conversion import convert
from mdkif.core.data.own import DATASET, convert_own
from mdkif.core.prompts import sandbox
from mdkif.core.prompts.templates import Template
from mdkif.core.store.documents import read_json
from verbs import adapt


@pytest.fixture
def kit(tmp_path, shared_base, plugins, pubmedqa):
    made = Toolkit(tmp_path / "store", shared_base.path, plugins=plugins)
    made.workspace.__dict__["base"] = shared_base
    made.source = {"pubmedqa": pubmedqa}
    made.told = []
    made.workspace.progress.note = made.told.append
    return made


# What the work depends on


def test_train_in_another_dtype_is_other_work_with_a_run_of_its_own(tmp_path, shared_base, plugins, pubmedqa):
    from dataclasses import replace

    import torch
    from mdkif.core.training.card import identity

    kit = Toolkit(tmp_path, shared_base.path, plugins=plugins)
    kit.workspace.__dict__["base"] = shared_base
    encoder = kit.workspace.encoder(Template("instruction.jinja"), 64)
    half = replace(shared_base, model=type("Half", (), {"dtype": torch.bfloat16, "device": torch.device("cpu")})())
    other = replace(shared_base, model=type("There", (), {"dtype": torch.float32, "device": torch.device("meta")})())
    loop, lora = TrainSettings(steps=1), kit.trainer("lora")
    works = {identity(base, encoder, "lora", lora, loop, [])["work"] for base in (shared_base, half, other)}
    assert len(works) == 3


# Settings


@pytest.mark.parametrize(
    ("trainer", "settings", "sentence"),
    [
        ("lora", {"dropout": 2.0}, "dropout cannot be '2.0': give a number below 1."),
        ("lora", {"dropout": 1.0}, "dropout cannot be '1.0': give a number below 1."),
        ("adalora", {"dropout": 5.0}, "below 1."),
        ("lora", {"rank": 10**30}, "give a whole number up to 1,000,000,000,000."),
    ],
)
def test_setting_out_of_its_range_is_one_sentence(kit, trainer, settings, sentence):
    with pytest.raises(BadInput, match=re.escape(sentence)):
        kit.trainer(trainer, **settings)


@pytest.mark.parametrize("settings", [{"epochs": 1e18}, {"steps": 10**15}])
def test_training_without_an_end_is_one_sentence(settings):
    with pytest.raises(BadInput, match="cannot be"):
        TrainSettings(**settings)


def test_router_that_takes_no_step_is_one_sentence(kit):
    with pytest.raises(BadInput, match=r"sigma cannot be '0\.0': give a number above 0 and below"):
        kit.router("cma-es", sigma=0.0)


@pytest.mark.parametrize("weight", [1e39, -1e39, float("inf"), float("nan")])
def test_compose_with_a_weight_beyond_float32_is_one_sentence(kit, weight):
    with pytest.raises(BadInput, match="The weight of 'nli' cannot be"):
        kit.compose("mine", {"nli": weight})


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"),
     type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")],
)  # fmt: skip
def test_memory_that_does_not_suffice_says_what_to_lower(monkeypatch, capsys, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("mdkif.core.toolkit.Toolkit.show", fail)
    assert run(main, ["show", "nli"]) == 1
    assert "lower --max-length, batch_size" in capsys.readouterr().err


def test_bad_input_exits_with_2_under_debug_too(tmp_path, capsys):
    line = ["--store", str(tmp_path), "--debug", "show", "nobody"]
    assert run(main, line) == 2
    err = capsys.readouterr().err
    assert err.rstrip().splitlines()[-1].startswith("Error: ")
    assert "Traceback" in err


# Where nothing can be written


@pytest.mark.parametrize("verb", ["train", "adapt", "evaluate"])
def test_store_that_cannot_be_written_is_noticed_before_the_work(kit, tmp_path, monkeypatch, verb):
    (tmp_path / "file").touch()
    monkeypatch.setattr(kit.workspace.store, "root", tmp_path / "file" / "store")
    monkeypatch.setattr(type(kit.workspace), "drawn", lambda *_, **__: pytest.fail("the work had begun"))
    verbs = {
        "train": lambda: kit.train("qa", kit.source, trainer="lora"),
        "adapt": lambda: adapt(kit.workspace, "pubmedqa", kit.source),
        "evaluate": lambda: kit.evaluate("pubmedqa", kit.source, ["base"]),
    }
    with pytest.raises(MdkifError, match="could not be written"):
        verbs[verb]()


def test_evaluation_that_cannot_be_kept_is_told(kit, monkeypatch):
    def full(*_, **__):
        raise MdkifError("The disk is full.")

    monkeypatch.setattr("mdkif.core.evaluation.evaluate.write_report", full)
    with pytest.raises(MdkifError, match="The disk is full"):
        kit.evaluate("pubmedqa", kit.source, ["base"], settings=EvaluateSettings(limit=4))
    assert re.match(r"base, 4 records: .*accuracy \d\.\d{4}", kit.told[-1])


# Names


def test_reports_of_a_skill_and_of_a_composition_that_look_alike_are_two(kit, shared_base, adapters, put_skill):
    put_skill(kit.workspace, "qa", adapters["qa"])
    kit.compose("skill-qa", {"qa": 0.0})
    few = EvaluateSettings(limit=2)
    one, other = kit.evaluate("pubmedqa", kit.source, ["skill:qa", "skill-qa"], settings=few)
    assert one.report != other.report
    assert len(kit.list("reports")) == 2


@pytest.mark.parametrize("name", ["/etc/passwd", "../../secret", "../mine", "a/b"])
def test_target_is_a_name_and_no_way_to_a_file(kit, tmp_path, name):
    (tmp_path / "secret.json").write_text("{}")
    with pytest.raises(BadInput, match="There is no composition named"):
        kit.evaluate("pubmedqa", kit.source, [name])


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", "a\x9bb", "", "base", ".a", "a/b", "a@b", "skill:a"])
def test_composition_name_has_nothing_that_a_terminal_or_folder_obeys(name):
    with pytest.raises(BadInput, match="cannot be named"):
        composition.validate_name(name)


# Many records


@pytest.fixture
def asked(tmp_path, kit):
    """A function that runs predict on a file, with a store of its own and the tiny base."""

    def asked(*options, code=0):
        line = ["--store", str(tmp_path / "own"), "predict", *map(str, options), "--with", "base", "--base", "tiny"]
        assert run(main, line) == code

    return asked


def rows(count):
    return [{"question": f"Is {i} odd?", "options": ["yes", "no"], "answer": "yes"} for i in range(count)]


def test_predict_reads_no_further_than_it_answers(kit, monkeypatch):
    from mdkif.core.inference import predict as inference

    monkeypatch.setattr(inference, "WINDOW", 4)
    read = []

    def endless():
        while True:
            read.append(len(read))
            yield Record(id=str(len(read)), query="Is it?", answer="yes", options=("yes", "no"), labels=("yes",))

    answers = inference.answered(kit.workspace, "base", endless())
    assert [next(answers).id for _ in range(9)] == [str(i) for i in range(1, 10)]
    assert len(read) == 12


def test_predict_answers_the_same_whatever_the_window(kit, monkeypatch):
    from mdkif.core.inference import predict as inference

    records = [
        Record(id=str(i), query="Is it?", answer="yes", options=("yes", "no") if i % 3 else (), labels=("yes",))
        for i in range(7)
    ]
    whole = kit.predict("base", records, 64, 4)
    monkeypatch.setattr(inference, "WINDOW", 2)
    parts = kit.predict("base", records, 64, 4)
    assert [(a.id, a.text, len(a.scores)) for a in whole] == [(a.id, a.text, len(a.scores)) for a in parts]
    assert [bool(a.options) for a in whole] == [bool(i % 3) for i in range(7)]


def test_predict_resumes_and_skips_bad_rows_with_a_count(asked, tmp_path, monkeypatch, capsys):
    from mdkif.core.inference import predict as inference

    monkeypatch.setattr(inference, "WINDOW", 4)
    (file := tmp_path / "asked.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows(10)) + "no row\n" + json.dumps({"question": "x " * 5000}) + "\n"
    )
    predict, calls = inference.predict, []

    def killed(encoder, examples, *rest):
        calls.append(len(examples))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict(encoder, examples, *rest)

    monkeypatch.setattr(inference, "predict", killed)
    options = (file, "-o", tmp_path / "out.jsonl", "--skip-bad", "--max-length", "64", "--max-new-tokens", "2")
    asked(*options, code=1)
    assert not (tmp_path / "out.jsonl").exists()
    part = only(tmp_path.glob(".out.jsonl-*.part"))
    assert part.stat().st_mode & 0o777 == 0o600
    part.write_bytes(part.read_bytes()[:-5])
    asked(*options)
    assert sum(calls[2:]) == 7
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [answer["answer"] in ("yes", "no") for answer in answers] == [True] * 10 + [False]
    assert not part.exists()
    assert "2 malformed row(s)" in capsys.readouterr().err
    asked(file, code=2)
    assert "asked.jsonl:11 is no JSON object" in capsys.readouterr().err


def only(paths):
    [path] = paths
    return path


# What is shown

CONTROLS = {*range(32), *range(127, 160)} - {9, 10}


@given(st.text())
def test_text_of_others_has_no_control_characters(text):
    shown = plain(text)
    assert not {ord(c) for c in shown} & CONTROLS
    assert len(shown) == len(text)


@given(st.text(st.characters(codec="utf-8")))
def test_json_shows_control_characters_as_escapes_and_means_the_same(text):
    import io
    from contextlib import redirect_stdout

    with redirect_stdout(out := io.StringIO()):
        print_json({"text": text})
    assert not {ord(c) for c in out.getvalue()} & CONTROLS
    assert json.loads(out.getvalue()) == {"text": text}


def test_title_of_a_skill_of_others_gives_a_terminal_no_order(kit, adapters, put_skill, capsys):
    put_skill(kit.workspace, "qa", adapters["qa"], title="A\x1b[2J\x9b31mskill")
    store = str(kit.workspace.store.root)
    for line in (["list", "trained"], ["list", "trained", "--json"], ["show", "qa"]):
        assert run(main, ["--store", store, *line]) == 0
        out, err = capsys.readouterr()
        assert not {ord(c) for c in out + err} & CONTROLS


# Files of others


@pytest.mark.parametrize("name", ["(a+)+$", "((a*)*)*b", "a{1,9}{1,9}", "(?:x|x)*y", ".*.*.*(.*)", "a|b", "[^a]", "a+"])
def test_adapter_with_a_regular_expression_for_modules_is_refused(tmp_path, name):
    for field in ("alpha_pattern", "rank_pattern"):
        with pytest.raises(BadInput, match=f"The {field} of .* is nothing that PEFT writes"):
            check_patterns({"peft_type": "LORA", "lora_alpha": 1, field: {name: 4}}, tmp_path)
    for value in (name, [name], {"a": 1}, 5, [5]):
        with pytest.raises(BadInput, match="The target_modules of"):
            check_patterns({"target_modules": value}, tmp_path, ["target_modules"])


def test_adapter_pattern_of_stars_is_matched_soon(tmp_path):
    from mdkif.core.adapters.peft_files import _names

    assert not _names(".*a" * 60, "a" * 59 + "b" * 200)
    assert _names("q_proj", "model.layers.0.self_attn.q_proj")
    assert not _names("proj", "model.layers.0.self_attn.q_proj")
    assert not _names("^layers.0", "model.layers.0")


PIPED = {CONFIG: "is not a readable adapter configuration", WEIGHTS: "cannot be read"}


@pytest.mark.parametrize("file", PIPED)
def test_adapter_with_a_pipe_for_a_file_is_refused_at_once(adapters, tmp_path, file):
    for name in (CONFIG, WEIGHTS):
        (tmp_path / name).write_bytes((adapters["qa"] / name).read_bytes())
    (tmp_path / file).unlink()
    os.mkfifo(tmp_path / file)
    with pytest.raises(BadInput, match=PIPED[file]):
        read_adapter(tmp_path)


def test_document_that_is_a_device_is_refused_at_once(tmp_path):
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    with pytest.raises(BadInput, match="is not a readable card"):
        read_json(tmp_path / "zero.json", "card")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=12), each, max_size=3),
    max_leaves=6,
)
OWN = {"name": "mine", "base": "tiny", "fingerprint": "0", "weights": {"qa": 1.0}, "adapters": {"qa": "1"}}
FIELDS = [*OWN, "granularity", "origin", "learnt", "residual", "other"]


@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
def test_composition_of_any_fields_is_read_or_refused(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("any") / "mine.json"
    path.write_text(json.dumps(OWN | changes))
    try:
        made = composition.read(path)
    except BadInput:
        return
    assert all(abs(weight) < 1e31 for weight in made.summary().values())
    assert len(made.references) == len(made.weights)
    assert made.version


# Templates


@pytest.fixture
def template(tmp_path):
    def template(text, name="own.jinja"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return Template(name, folders=[tmp_path])

    return template


BODY = "{%% block query %%}%s{%% endblock %%}{%% block context %%}{%% endblock %%}{%% block answer %%}{%% endblock %%}"
RECORD = Record(id="r", query="q", answer="a")


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}"
        "{% endfor %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{{ 'a' * 10 ** 12 }}",
        "{{ 10 ** (10 ** 10) }}",
        "{% for a in range(99999) %}{{ 'a' * 99999 }}{% endfor %}",
        "{{ [0] * (2 ** 40) }}",
    ],
)
def test_template_without_an_end_is_one_sentence_in_time(template, monkeypatch, text):
    monkeypatch.setattr(sandbox, "SECONDS", 0.2)
    with pytest.raises(
        BadInput, match=r"The template \S*own\.jinja(:1)? failed with (Timeout|Overflow|Recursion)Error"
    ):
        template(BODY % text).render(RECORD)


def test_template_loops_know_where_they_are(template):
    text = "{% for x in 'abc' %}{{ loop.index }}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}{{ 'ab' * 3 }}"
    assert template(BODY % text).render(RECORD).query == "1a, 2b, 3cababab"


def test_template_that_is_no_text_is_named(template):
    with pytest.raises(BadInput, match=r"The template own\.jinja:1 is wrong: it is no text in UTF-8"):
        template(b"caf\xe9 {{ query }}")


def test_template_that_is_a_link_out_of_its_folder_is_none(template, tmp_path):
    (folder := tmp_path / "templates").mkdir()
    (tmp_path / "secret").write_text("{{ query }} secret")
    (folder / "own.jinja").symlink_to(tmp_path / "secret")
    with pytest.raises(BadInput, match=r"The template 'own\.jinja' of mdkif was not found"):
        Template("own.jinja", folders=[folder])
    (folder / "inner.jinja").write_text(BODY % "kept")
    (folder / "linked.jinja").symlink_to(folder / "inner.jinja")
    assert Template("linked.jinja", folders=[folder]).render(RECORD).query == "kept"


# Records


def test_lines_that_are_too_long_are_never_held_and_are_told(tmp_path, monkeypatch):
    import gzip

    monkeypatch.setattr(record_files, "LONGEST_LINE", 1000)
    content = b"first\n" + b"x" * 100_000 + b"\nlast\n"
    (tmp_path / "a.txt").write_bytes(content)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(content))
    for name in ("a.txt", "a.txt.gz"):
        report = ConversionReport(skip_bad=True)
        with text_lines(tmp_path / name, report) as lines:
            assert list(lines) == ["first\n", "\n", "last\n"]
        assert report.malformed_rows == 1
        with (
            pytest.raises(BadInput, match=":2 is longer than 1,000 characters"),
            text_lines(tmp_path / name, ConversionReport()) as lines,
        ):
            list(lines)


@given(st.binary(max_size=200))
def test_lines_of_any_bytes_are_read(tmp_path_factory, content):
    (path := tmp_path_factory.mktemp("any") / "a.txt").write_bytes(content)
    with text_lines(path, ConversionReport(), newline="\n") as lines:
        assert "".join(lines).encode("utf-8", "surrogateescape").removeprefix(b"\xef\xbb\xbf") == content.removeprefix(
            b"\xef\xbb\xbf"
        )


def test_rows_that_are_not_utf8_are_skipped_with_a_count_or_named(tmp_path):
    for name, head, row in (
        ("a.csv", b"question,answer\n", b"%s,yes\n"),
        ("a.jsonl", b"", b'{"question": "%s", "answer": "y"}\n'),
    ):
        (tmp_path / name).write_bytes(head + row % b"good" + row % b"caf\xe9" + row % b"last")
        report = ConversionReport(skip_bad=True)
        assert [record.query for record in convert(DATASET, tmp_path / name, report)] == ["good", "last"]
        assert report.malformed_rows == 1
        with pytest.raises(BadInput, match="holds what is no character: bytes that are not UTF-8"):
            list(convert(DATASET, tmp_path / name, ConversionReport()))


@pytest.mark.parametrize("row", ['{"question": {"a": {}}, "answer": "x"}', '{"question": "q", "answer": [[1]]}',
                                 '{"question": "q", "context": ["a"]}', "[" * 100_000, "null", "5"])  # fmt: skip
def test_rows_of_ones_own_that_are_nested_are_malformed(tmp_path, row):
    (path := tmp_path / "own.jsonl").write_text('{"question": "first", "answer": "yes"}\n' + row + "\n")
    report = ConversionReport(skip_bad=True)
    assert [record.query for record in convert_own(path, report)] == ["first"]
    assert report.malformed_rows == 1


@given(st.binary(max_size=300))
def test_records_of_any_bytes_are_read_or_told(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    for name in ("a.jsonl", "a.csv", "a.tsv"):
        (folder / name).write_bytes(content)
        with suppress(BadInput):
            assert all(record.query for record in convert_own(folder / name, ConversionReport(skip_bad=True)))
