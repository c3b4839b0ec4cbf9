"""Damaged sources: whatever happened to its files, a data set gives records or one sentence that quotes no file."""

import gzip
import io
import json
import random
import re
import shutil
import traceback
import zipfile
from collections import defaultdict
from itertools import product

import pytest
from mdkif import BadInput, ConversionReport, Dataset, Skill, Task
from mdkif.core.contract.discovery import Plugins
from mdkif.core.data.conversion import convert
from mdkif.core.inspection.samples import sample
from mdkif_synthetic import generate

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:openpyxl")

PLUGINS = Plugins()
DATASETS = {declared.name: plugin for declared, plugin in PLUGINS.all(Dataset)}
MOST_FILES, MOST_KEYS = 4, 6
LONG, DEEP = 2 << 20, 50_000
LONGEST_MESSAGE, LONGEST_COPY = 600, 30

# The damages: each gives some damaged versions of a file's bytes.

QUOTED_KEY = rb'"(\w+)"\s*:'
ATTRIBUTE = rb'(?<=[\s|])(\w+)="'
TAG = rb"(?m)^(\w+): "
ELEMENT = rb"</?(\w+)"
TEXT = rb'(:\s*)"(?:[^"\\]|\\.)*"'
ENTITIES = b'<!ENTITY a0 "ha">' + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
HALF_A_CHARACTER = rb"\ud800"


def inserted(data, what):
    """The bytes with something put in at three places."""
    quarter = len(data) // 4
    return what.join(data[place : place + quarter] for place in range(0, 4 * quarter, quarter or 1))


def emptied(data):
    yield b""


def truncated(data):
    yield data[: len(data) // 2]
    yield data[:-3]


def nul_bytes(data):
    yield inserted(data, b"\0")


def latin_1(data):
    yield inserted(data, "é".encode("latin-1"))


def byte_order_mark(data):
    yield b"\xef\xbb\xbf" + data


def crlf(data):
    yield data.replace(b"\n", b"\r\n")


def twice(data):
    """Every line twice, and everything between the outermost brackets."""
    yield b"".join(line.rstrip(b"\n") + b"\n" for line in data.splitlines(keepends=True) for _ in range(2))
    inside = data.strip()
    if inside[:1] in (b"{", b"["):
        yield inside[:-1] + b"," + inside[1:]


def columns_removed(data):
    """The first column of the header, and the last of every row."""
    header, *rows = data.split(b"\n")
    separator = max((b"\t", b",", b"|"), key=header.count)
    yield b"\n".join([header.partition(separator)[2], *rows])
    yield b"\n".join(line.rpartition(separator)[0] for line in (header, *rows))


def keys_renamed(data):
    """The first few keys of JSON, attributes and elements of XML and tags of OBO, one at a time."""
    for pattern in (QUOTED_KEY, ATTRIBUTE, ELEMENT, TAG):
        for key in list(dict.fromkeys(re.findall(pattern, data)))[:MOST_KEYS]:
            yield re.sub(rb"\b%s\b" % re.escape(key), b"renamed", data)


def values_of_other_types(data):
    """The texts of a JSON file's keys, one at a time: a number, nothing, a list, half of a character."""
    for key in list(dict.fromkeys(re.findall(QUOTED_KEY, data)))[:MOST_KEYS]:
        for value in (b"7", b"null", b'["a"]', b'"%s"' % HALF_A_CHARACTER):
            yield re.sub(rb'("%s"\s*)' % key + TEXT, rb"\1\g<2>" + value.replace(b"\\", rb"\\"), data)


def nested_lists(data):
    """More of them in JSON than a parser can hold on its stack, as a value and as the whole file."""
    if data[:1] not in (b"{", b"["):
        return
    yield re.sub(TEXT, lambda found: found[1] + b"[" * DEEP, data, count=1)
    yield b"[" * DEEP


def huge_numbers(data):
    """A number of more digits than Python converts, at three places."""
    numbers = list(re.finditer(rb"\d+", data))
    for number in numbers[:: len(numbers) // 3 + 1]:
        yield data[: number.start()] + b"9" * 5000 + data[number.end() :]


def long_line(data):
    middle = len(data) // 2
    yield data[:middle] + b"x" * LONG + data[middle:]


def entity_bomb(data):
    """A document type with nested entities, near the beginning, far behind it, and in UTF-16."""
    root = re.search(rb"<\w", data)
    if not data.startswith(b"<") or not root:
        return
    body, _, end = data[root.start() :].rpartition(b"</")
    for comment in (b"", b"<!--" + b" " * 2000 + b"-->"):
        bomb = data[: root.start()] + comment + b"<!DOCTYPE x [" + ENTITIES + b"]>" + body + b"&a9;</" + end
        yield bomb
    yield bomb.replace(b"UTF-8", b"UTF-16").decode().encode("utf-16")


def random_bytes(data):
    draw = random.Random(len(data))
    yield draw.randbytes(len(data))
    changed = bytearray(data)
    for _ in range(len(data) and 20):
        changed[draw.randrange(len(data))] = draw.randrange(256)
    yield bytes(changed)


DAMAGES = (
    emptied,
    truncated,
    nul_bytes,
    latin_1,
    byte_order_mark,
    crlf,
    twice,
    columns_removed,
    keys_renamed,
    values_of_other_types,
    nested_lists,
    huge_numbers,
    long_line,
    entity_bomb,
    random_bytes,
)


# The sources: a file of a folder, or what is packed in it.


class Leaf:
    """A file, with `member` what is packed in it: "" of a .gz, else the name in an archive."""

    def __init__(self, path, member=None):
        self.path, self.member, self.whole = path, member, path.read_bytes()

    def __repr__(self):
        return f"{self.path.name}:{self.member or ''}"

    @property
    def content(self):
        if self.member is None:
            return self.whole
        if not self.member:
            return gzip.decompress(self.whole)
        return zipfile.ZipFile(io.BytesIO(self.whole)).read(self.member)

    def put(self, content):
        self.path.write_bytes(self._packed(content))

    def restore(self):
        self.path.write_bytes(self.whole)

    def _packed(self, content):
        if self.member is None:
            return content
        if not self.member:
            return gzip.compress(content, 1)
        file = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(self.whole)) as old, zipfile.ZipFile(file, "w", compresslevel=1) as new:
            for entry in old.infolist():
                text = content if entry.filename == self.member else old.read(entry)
                new.writestr(entry.filename, text, zipfile.ZIP_DEFLATED)
        return file.getvalue()


def leaves(folder):
    """The largest file of each kind, and what is packed in it; kinds differ in their folder or in more than numbers."""
    kinds = {}
    for path in sorted(folder.rglob("*"), key=lambda path: (path.stat().st_size, path)):
        if path.is_file() and path.stem != "SYNTHETIC":
            kinds[path.parent.name, re.sub(r"\d", "", path.name)] = path
    for path in list(kinds.values())[-MOST_FILES:]:
        yield Leaf(path)
        if path.suffix == ".gz":
            yield Leaf(path, "")
        elif zipfile.is_zipfile(path):
            yield from (Leaf(path, name) for name in zipfile.ZipFile(path).namelist())


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """For each data set: a folder, a copy of its source in there, and all options that skills and tasks give it."""
    hospital = generate(tmp_path_factory.mktemp("fuzz") / "hospital", seed=5, patients=10)
    read: dict[str, list[dict[str, object]]] = defaultdict(list)
    for declared in (d for kind in (Skill, Task) for d, _ in PLUGINS.all(kind)):
        for each in (*declared.sources, *declared.alternatives):
            if each.options not in read[each.dataset]:
                read[each.dataset].append(dict(each.options))
    made = {}
    for name, plugin in DATASETS.items():
        source = hospital.get(name) or sample(plugin, name, {})
        assert source, f"{name} has neither a synthetic source nor a sample"
        folder = tmp_path_factory.mktemp(name)
        copy = folder / source.name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
        for table in folder.rglob("*.RRF"):  # UMLS is large even where the hospital is small
            table.write_bytes(b"".join(table.read_bytes().splitlines(keepends=True)[:250]))
        options = read[name] or [{}]
        if name == "wikimed":
            shutil.copy(next(hospital["umls"].rglob("MRSTY.RRF")), folder)
            options = [{**each, "mrsty": str(folder)} for each in options]
        made[name] = folder, copy, options
    return made


def fault(name, source, options, skip_bad, folder="", content=""):
    """What is wrong with a conversion; "" if it gives records, or one sentence that may be shown to anyone."""
    conversion, said = ConversionReport(skip_bad=skip_bad), []
    ids = set()
    try:
        for record in convert(PLUGINS.get(Dataset, name), source, conversion, options):
            json.dumps(record.to_dict(), ensure_ascii=False).encode()
            if not (record.query.strip() and record.answer.strip() and record.source):
                return f"{record.id} lacks a query, an answer or a source"
            if record.id in ids:
                return f"{record.id} comes twice"
            ids.add(record.id)
    except BadInput as error:
        said.append(str(error))
    except Exception as error:
        return "".join(traceback.format_exception(error)[-2:])
    for sentence in (*said, *conversion.left_out):
        told = sentence.replace(str(folder), "")
        if len(told) >= LONGEST_MESSAGE or copied(told, content):
            return f"says or quotes too much: {told}"
    return ""


def copied(message, content):
    """A run of characters that a message has from a file, or ""."""
    for start in range(0, len(message), LONGEST_COPY // 2):
        if message[start : start + LONGEST_COPY // 2] in content:
            for begin in range(max(0, start - LONGEST_COPY // 2), start + 1):
                run = message[begin : begin + LONGEST_COPY]
                if len(run) == LONGEST_COPY and run in content:
                    return run
    return ""


@pytest.mark.parametrize("name", DATASETS)
def test_converter_whole_source_gives_records_with_each_set_of_options(name, copies):
    _, source, every = copies[name]
    for options in every:
        assert any(True for _ in convert(PLUGINS.get(Dataset, name), source, ConversionReport(), options)), options
        assert fault(name, source, options, skip_bad=False) == ""


@pytest.mark.parametrize("name", DATASETS)
def test_converter_damaged_source_gives_records_or_one_sentence(name, copies):
    folder, source, every = copies[name]
    faults = []
    for leaf, damage in product(leaves(folder), DAMAGES):
        for number, content in enumerate(damage(leaf.content)):
            leaf.put(content)
            text = content.decode("utf-8", "replace")
            for options, skip_bad in product(every, (False, True)):
                if found := fault(name, source, options, skip_bad, folder, text):
                    faults.append(f"{leaf} {damage.__name__} {number}, {options}, {skip_bad=}: {found}")
        leaf.restore()
    assert not faults, "\n".join(faults)


def test_converter_copied_run_is_found_wherever_it_begins():
    text = "The patient, a nurse of 52, was seen for an itch that had lasted three weeks."
    for begin in range(20):
        assert copied(f"{'-' * begin}{text[begin : begin + 40]}--", text)
        assert not copied(f"{'-' * begin}{text[begin : begin + 29]}--", text)
