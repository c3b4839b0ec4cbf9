"""Templates: where they are looked for, what they may do, and errors that never quote a record."""

import sys

import pytest
from mdkif import BadInput, Record, Skill
from mdkif.core.prompts.templates import BLOCKS, SHARED, Template

SECRET = "Mrs Miller, born 1941, has sarcoidosis"
RECORD = Record(id="r", query="Is it so?", context=SECRET, answer="yes", options=("yes", "no"), labels=("yes",))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The folder of templates of an importable plugin package."""
    folder = tmp_path / "site" / "mdkif_skill_made_up" / "templates"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield folder
    sys.modules.pop("mdkif_skill_made_up", None)


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def skill(template="own.jinja", package="mdkif_skill_made_up"):
    return Skill(name="own", title="", category="question-answering", sources=(), template=template, package=package)


def rendering(folder, text, record=RECORD):
    (folder / "own.jinja").write_text(text)
    return Template.of(skill(package=""), (folder,)).render(record)


def test_template_users_folder_is_first_then_the_plugin_then_the_shared_ones(package, mine):
    def query(template="own.jinja"):
        return Template.of(skill(template), (mine,)).render(RECORD).query

    assert query("question-answering.jinja") == "Is it so?"
    (package / "question-answering.jinja").write_text("{% block query %}plugin{% endblock %}")
    assert query("question-answering.jinja") == "plugin"
    (mine / "question-answering.jinja").write_text("{% block query %}mine{% endblock %}")
    assert query("question-answering.jinja") == "mine"
    assert Template.of(skill("question-answering.jinja"), (mine,)).source() == "{% block query %}mine{% endblock %}"


def test_template_of_a_plugin_extends_the_users_version_of_a_shared_one(package, mine):
    (package / "own.jinja").write_text('{% extends "question-answering.jinja" %}')
    (mine / "question-answering.jinja").write_text(
        '{% extends "instruction.jinja" %}{% block query %}Briefly: {{ query }}{% endblock %}'
    )
    made = Template.of(skill(), (mine,)).render(RECORD)
    assert (made.query, made.context, made.answer) == ("Briefly: Is it so?", SECRET, "yes")


def source(mine, template="own.jinja"):
    return Template.of(skill(template), (mine,)).source()


def test_template_source_is_all_it_extends_or_includes_once(package, mine):
    (package / "own.jinja").write_text(
        '{% extends "question-answering.jinja" %}{% block query %}{% include "note" %}{% endblock %}'
    )
    (package / "note").write_text('{% include "note" ignore missing %}{% include "own.jinja" %}{% include query %}')
    names = ("own.jinja", "question-answering.jinja", "note", "instruction.jinja")
    folders = (package, SHARED, package, SHARED)
    texts = [(folder / name).read_text() for folder, name in zip(folders, names, strict=True)]
    assert source(mine) == "\n".join(texts)


@pytest.mark.parametrize("changed", ["own.jinja", "question-answering.jinja", "instruction.jinja", "note"])
def test_template_change_anywhere_in_the_chain_changes_the_source(package, mine, changed):
    (package / "own.jinja").write_text('{% extends "question-answering.jinja" %}{% block query %}a{% endblock %}')
    (package / "question-answering.jinja").write_text(
        '{% extends "instruction.jinja" %}{% block context %}{% include "note" %}{% endblock %}'
    )
    (package / "note").write_text("b")
    before = source(mine)
    (mine / "text-classification.jinja").write_text("of no concern")
    assert source(mine) == before
    (mine / changed).write_text("{% block query %}{{ query }}{% endblock %}")
    assert source(mine) != before


def test_template_source_of_a_chain_with_an_absent_or_wrong_part_is_the_rest(package, mine):
    (package / "own.jinja").write_text('{% extends "wrong.jinja" %}{% block query %}{% include "no" %}{% endblock %}')
    (package / "wrong.jinja").write_text("{% if %}")
    assert source(mine) == (package / "own.jinja").read_text() + "\n{% if %}"


def test_template_hash_on_a_skills_card_tells_a_parents_wording(workspace, mednli):
    from verbs import train_skill

    def template():
        settings = {"steps": "1", "batch_size": "1", "max_length": "256"}
        return train_skill(workspace, "nli", {"mednli": mednli}, "lora", settings).card["template"]

    first = template()
    workspace.store.templates.mkdir()
    (workspace.store.templates / "text-classification.jinja").write_text(
        '{% extends "instruction.jinja" %}{% block context %}Sentences: {{ context }}{% endblock %}'
    )
    assert template() != first


@pytest.mark.parametrize("name", sorted(path.name for path in SHARED.glob("*.jinja")))
def test_template_shared_by_a_category_passes_the_record_through(name):
    made = Template.of(skill(name, "")).render(RECORD)
    assert (made.query, made.context, made.answer) == ("Is it so?", SECRET, "yes")
    assert made.prompt == f"Is it so?\n\n{SECRET}"
    assert Template.of(skill(name, "")).render(Record(id="r", query=" Q ", answer=" A ")).prompt == "Q"


def test_template_text_that_looks_like_a_template_is_not_run_or_escaped(mine):
    record = Record(id="r", query="{{ 7 * 7 }} {% raw %}", context="a < b & c > 'd'\n\n  e", answer="x\ty")
    made = rendering(mine, '{% extends "instruction.jinja" %}', record)
    assert (made.query, made.context, made.answer) == (record.query, record.context, record.answer)


def test_template_that_is_missing_lists_the_places(package, mine):
    with pytest.raises(BadInput) as raised:
        Template.of(skill("absent.jinja"), (mine,))
    message = str(raised.value)
    assert "template 'absent.jinja' of the skill 'own' was not found in" in message
    assert message.index(str(mine)) < message.index(str(package)) < message.index(str(SHARED))


def test_template_wrong_syntax_names_file_and_line(mine):
    with pytest.raises(BadInput, match=rf"template {mine}/own.jinja:3 is wrong"):
        rendering(mine, "{% block query %}\n\n{% if %}{% endblock %}")


@pytest.mark.parametrize("block", BLOCKS)
def test_template_unknown_variable_names_template_line_and_variable(mine, block):
    with pytest.raises(BadInput) as raised:
        rendering(mine, f"{{% block {block} %}}\nfine\n{{{{ qeury }}}}{{% endblock %}}")
    message = str(raised.value)
    assert f"{mine / 'own.jinja'}:3" in message
    assert "'qeury' is undefined" in message
    assert "known are query, context, answer, options, labels" in message
    assert SECRET not in message


ATTACKS = {
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "class of a variable": "{{ context.__class__.__mro__ }}",
    "filter": "{{ ''|attr('__class__')|attr('__mro__') }}",
    "format": "{{ '{0.__class__}'.format(context) }}",
    "globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "self": "{{ self.__init__.__globals__ }}",
    "mutation": "{% set x = [] %}{{ x.append(1) }}",
    "endless": "{% for i in range(10**9) %}x{% endfor %}",
    "file": "{% include '../../../../../../etc/passwd' %}",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_template_sandbox_holds_and_names_the_line(mine, attack):
    with pytest.raises(BadInput) as raised:
        rendering(mine, "{% block query %}\n" + ATTACKS[attack] + "{% endblock %}")
    assert f"{mine / 'own.jinja'}:2" in str(raised.value)
    assert SECRET not in str(raised.value)


LEAKS = {
    "index": "{{ options[context] }}",
    "missing key": "{{ {}[context].x }}",
    "attribute filter": "{{ options|attr(context) }}{{ (options|attr(context)).x }}",
    "include": "{% include context %}",
    "arithmetic": "{{ context / 2 }}",
    "conversion": "{{ context.index('zzz') }}",
    "call": "{{ context() }}",
    "format": "{{ '%d' % context }}",
    "format key": "{{ ('%(' + context + ')s') % {} }}",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_template_record_text_is_never_in_the_error_nor_behind_it(mine, leak):
    with pytest.raises(BadInput) as raised:
        rendering(mine, "{% block query %}\n" + LEAKS[leak] + "{% endblock %}")
    assert "Miller" not in str(raised.value)
    assert "sarcoidosis" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert "own.jinja:2" in str(raised.value)
