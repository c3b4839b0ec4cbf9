"""The site is built from the pages and the code without a warning, is whole, and needs nothing from outside."""

import inspect
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import mdkif
import pytest
from documentation import ROOT, all_commands, context, ours, signature_lines, signature_of
from mdkif.core.contract import hookspecs
from mdkif.core.contract.catalogue import LISTENER, catalogue
from mdkif.core.contract.declarations import KINDS

HOOKS = [hook for name, hook in vars(hookspecs).items() if name.startswith("mdkif_")]
LOADED = {"link": "href", "script": "src", "img": "src", "source": "src", "iframe": "src", "object": "data"}


class Page(HTMLParser):
    """What a page loads and links to, the ids it has, and its text."""

    def __init__(self, file):
        super().__init__()
        self.loads, self.links, self.ids, self.hidden = [], [], set(), ""
        self.parts: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))
        self.text = squeezed("".join(self.parts))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given["id"]} if "id" in given else set()
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADED and LOADED[tag] in given:
            self.loads.append(given[LOADED[tag]])
        self.hidden = tag if tag in ("script", "style", "svg") else self.hidden

    def handle_endtag(self, tag):
        self.hidden = "" if tag == self.hidden else self.hidden

    def handle_data(self, data):
        if not self.hidden:
            self.parts.append(data)


def squeezed(text):
    """Without white space and the marks of a heading's link, and with the plain arrow and quotation marks."""
    return re.sub(r"[\s¶]", "", text).replace("→", "->").replace("’", "'").replace("“", '"').replace("”", '"')


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the built site; a warning fails the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", str(ROOT / "docs")]
    done = subprocess.run([*command, str(folder / "html"), "-d", str(folder / "trees")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="session")
def pages(site):
    return {file.relative_to(site).as_posix(): Page(file) for file in site.rglob("*.html")}


def test_site_every_page_of_the_docs_is_in_the_site_and_reached_from_its_index(site, pages):
    sources = [file.relative_to(ROOT / "docs") for file in (ROOT / "docs").rglob("*.md")]
    wanted = {path.with_suffix(".html").as_posix() for path in sources if path.parts[0] not in ("examples", "_build")}
    reached = {urlsplit(link).path for link in pages["index.html"].links}
    assert wanted - {"index.html"} <= reached
    assert {"start.html", "equations.html", "traps.html", "results/index.html", "reference.html"} <= wanted


def test_site_loads_nothing_from_outside(site, pages):
    for name, page in pages.items():
        assert page.loads
        assert not [place for place in page.loads if re.match(r"(\w+:)?//", place)], name
    for file in [*site.rglob("*.css"), *site.rglob("*.js")]:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//|fetch\(['\"]https?:|importScripts", text), file.name


def test_site_every_internal_link_and_asset_leads_somewhere(site, pages):
    wrong, seen = [], 0
    for name, page in pages.items():
        for target in page.links + page.loads:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            seen += 1
            file = (site / name).parent.joinpath(unquote(parts.path)).resolve() if parts.path else site / name
            there = file.is_file() and file.is_relative_to(site.resolve())
            if there and parts.fragment and file.suffix == ".html":
                there = unquote(parts.fragment) in pages[file.relative_to(site.resolve()).as_posix()].ids
            if not there:
                wrong.append(f"{name}: {target}")
    assert seen > 500
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", mdkif.__all__)
def test_site_every_public_name_is_in_the_reference_with_its_exact_signature(pages, name):
    public = getattr(mdkif, name)
    page = pages["reference.html"]
    if inspect.ismodule(public):
        assert {f"mdkif-{name}", f"module-{public.__name__}"} <= page.ids
        return
    assert f"mdkif.{name}" in page.ids
    if inspect.isfunction(public):
        assert squeezed(f"{name}{signature_of(public)}") in page.text
    elif inspect.isclass(public) and takes_arguments(public):
        assert squeezed(f"class{name}{signature_of(public)}".removesuffix(" -> None")) in page.text


def takes_arguments(public):
    """Whether a class is made with arguments of its own: no protocol, no exception."""
    plain = getattr(public, "_is_protocol", False) or issubclass(public, Exception)
    return not plain and bool(inspect.signature(public).parameters)


def test_site_every_public_function_of_reporting_and_testing_is_in_the_reference(pages):
    from mdkif import testing

    for module in (mdkif.reporting, testing):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                assert squeezed(f"{name}{signature_of(function)}") in pages["reference.html"].text


def test_site_every_verb_of_the_toolkit_is_in_the_reference_with_its_exact_signature(pages):
    verbs = {name: verb for name, verb in inspect.getmembers(mdkif.Toolkit, inspect.isfunction) if name[0] != "_"}
    assert {"train", "adapt", "compose", "evaluate", "predict", "export"} <= set(verbs)
    for name, verb in verbs.items():
        assert f"mdkif.Toolkit.{name}" in pages["reference.html"].ids
        shown = squeezed(f"{name}{signature_of(verb)}").replace("(self,", "(").replace("(self)", "()")
        assert shown.partition("->")[0] in pages["reference.html"].text


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_site_every_hook_is_documented_with_its_exact_signature(pages, hook):
    exact = squeezed(f"{hook.__name__}{signature_of(hook)}")
    assert exact in pages["reference.html"].text
    assert exact in pages["plugins.html"].text
    assert f"mdkif.core.contract.hookspecs.{hook.__name__}" in pages["reference.html"].ids


@pytest.mark.parametrize("name", all_commands())
def test_site_every_command_is_documented_with_its_usage_and_options(pages, name):
    command, page = all_commands()[name], pages["commands.html"]
    assert name.replace(" ", "-") in page.ids
    assert squeezed(" ".join(["mdkif", name, *command.collect_usage_pieces(context(name, command))])) in page.text
    for option in command.params:
        if option.param_type_name == "option":
            record = option.get_help_record(context(name, command))
            assert record is not None
            assert squeezed("".join(record)) in page.text


@cache
def declared():
    return {(kind, each.name): each for kind, cls in KINDS.items() for each in ours(cls)}


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_site_every_registry_entry_is_documented_with_its_exact_signature(pages, entry):
    text = pages["catalogue.html"].text
    assert squeezed(f"{entry.name}{entry.title}") in text
    if entry.planned or entry.kind == LISTENER:  # which declares nothing
        return
    first, *details = signature_lines(declared()[entry.kind, entry.name])
    shown = re.sub(r"\[(.+?)\]\(.+?\)", r"\1", first.removeprefix("- ").replace("`", ""))
    assert squeezed(shown) in text
    for line in details:
        assert squeezed(line.strip().removeprefix("- ").replace("`", "")) in text


def test_site_page_that_lacks_what_is_asked_for_would_be_noticed(pages):
    assert squeezed("mdkif_skills() -> Iterable[Task]") not in pages["reference.html"].text
    assert "mdkif.Nothing" not in pages["reference.html"].ids


def test_site_warning_stops_the_build(tmp_path):
    (tmp_path / "conf.py").write_text((ROOT / "docs/conf.py").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "index.md").write_text("# Index\n\n[nowhere](missing.md)\n", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--quiet", str(tmp_path), str(tmp_path / "html")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "missing.md" in done.stderr


def test_site_makefile_builds_the_site_the_same_way():
    target = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndocs: setup")[2].partition("\n\n")[0]
    assert "sphinx --fail-on-warning --keep-going --quiet docs docs/_build\n" in target
    assert "docs/_build/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
