"""The store: files and directories appear whole or not at all, whatever fails, and are their owner's."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, MdkifError
from mdkif.core.store.documents import read_json, write_json
from mdkif.core.store.files import atomic_directory, atomic_file
from mdkif.core.store.layout import Store

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def umask():
    """Set the umask of this process for one test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.fixture(params=["file", "directory"])
def whole(request):
    """Both ways to write: a context manager, how to fill what it yields, and how to read it back."""
    if request.param == "file":
        return atomic_file, lambda part, text: part.write_text(text), lambda path: path.read_text()
    return (
        atomic_directory,
        lambda part, text: (part / "inside").write_text(text),
        lambda path: (path / "inside").read_text(),
    )


def test_files_appear_with_their_folders_when_the_block_ends(tmp_path, whole):
    manager, write, read = whole
    path = tmp_path / "a" / "b" / "thing.json"
    with manager(path) as part:
        write(part, "new")
        assert not path.exists()
        assert part.parent == path.parent  # on the same disk, so that the last step is a rename
    assert read(path) == "new"
    assert list(path.parent.iterdir()) == [path]


def test_files_temporary_file_keeps_the_suffix_that_writers_look_at(tmp_path):
    with atomic_file(tmp_path / "out.parquet") as part:
        assert part.suffix == ".parquet"


def test_files_replace_what_was_there(tmp_path, whole):
    manager, write, read = whole
    path = tmp_path / "thing"
    for text in ("old", "new"):
        with manager(path) as part:
            write(part, text)
    assert read(path) == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_files_replaced_directory_keeps_nothing_of_the_old(tmp_path):
    with atomic_directory(tmp_path / "thing") as part:
        (part / "old").touch()
    with atomic_directory(tmp_path / "thing") as part:
        (part / "new").touch()
    assert [file.name for file in (tmp_path / "thing").iterdir()] == ["new"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, BadInput])
@pytest.mark.parametrize("before", [True, False])
def test_files_failure_half_way_leaves_what_was_there(tmp_path, whole, error, before):
    manager, write, read = whole
    path = tmp_path / "thing"
    if before:
        with manager(path) as part:
            write(part, "old")

    def work():
        with manager(path) as part:
            write(part, "half")
            raise error("stop")

    with pytest.raises(error):
        work()
    assert list(tmp_path.iterdir()) == ([path] if before else [])
    if before:
        assert read(path) == "old"


def test_files_full_disk_while_writing_is_a_sentence_with_file_reason_and_remedy(tmp_path, whole):
    manager, write, read = whole
    path = tmp_path / "thing"
    with manager(path) as part:
        write(part, "old")

    def work():
        with manager(path) as part:
            write(part, "half")
            with Path("/dev/full").open("w") as device:
                device.write("x")

    with pytest.raises(MdkifError, match=rf"^{path} could not be written \(No space left on device\): .* free space"):
        work()
    assert read(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_disk_that_refuses_the_last_rename_leaves_what_was_there(tmp_path, whole, monkeypatch):
    manager, write, read = whole
    path = tmp_path / "thing"
    with manager(path) as part:
        write(part, "old")
    rename = Path.replace

    def refuse(self, target):
        if Path(target) == path and "-old" not in self.name:
            full()
        return rename(self, target)

    def work():
        with manager(path) as part:
            write(part, "new")
            monkeypatch.setattr(Path, "replace", refuse)

    with pytest.raises(MdkifError, match="could not be written"):
        work()
    assert read(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["touch", "mkdir"])
def test_files_disk_that_refuses_the_first_step_is_reported(tmp_path, monkeypatch, step):
    monkeypatch.setattr(Path, step, full)
    manager = atomic_file if step == "touch" else atomic_directory
    with pytest.raises(MdkifError, match="No space left on device"), manager(tmp_path / "thing"):
        pytest.fail("the block must not run")


def test_files_place_that_is_a_file_is_reported(tmp_path, whole):
    (tmp_path / "file").touch()
    with pytest.raises(MdkifError, match="could not be written"), whole[0](tmp_path / "file" / "thing"):
        pytest.fail("the block must not run")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
@pytest.mark.parametrize(("mask", "shared"), [(0o022, 0o755), (0o077, 0o700)])
def test_files_are_their_owners_alone_from_the_first_byte(tmp_path, umask, mask, shared):
    """What may hold text, and folders made for it; a folder to be passed on is as the umask says."""
    umask(mask)
    with atomic_file(tmp_path / "new" / "deep" / "records.jsonl") as part:
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        part.write_text("text")
    with atomic_directory(tmp_path / "new" / "skill") as part:
        assert stat.S_IMODE(part.stat().st_mode) == 0o700
    with atomic_directory(tmp_path / "lora", private=False):
        pass
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"new": 0o700, "deep": 0o700, "records.jsonl": 0o600, "skill": 0o700, "lora": shared}


def test_files_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "facts.json"
    write_json(path, "old")
    code = (
        "import os, pathlib, sys; from mdkif.core.store.files import atomic_file\n"
        "with atomic_file(pathlib.Path(sys.argv[1])) as part:\n    part.write_text('half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert read_json(path, "fact") == "old"


@given(value=JSON)
def test_json_is_read_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path, "value") == value


def test_json_is_written_for_people(tmp_path):
    write_json(tmp_path / "value.json", {"a": [1], "ä": "ß"})
    assert (tmp_path / "value.json").read_text("utf-8") == json.dumps(
        {"a": [1], "ä": "ß"}, indent=2, ensure_ascii=False
    ) + "\n"


def test_files_value_json_cannot_hold_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "value.json", "old")
    with pytest.raises(TypeError):
        write_json(tmp_path / "value.json", {1, 2})
    assert read_json(tmp_path / "value.json", "value") == "old"


def test_files_missing_file_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=rf"^There is no composition at {tmp_path}/none\.json\.$"):
        read_json(tmp_path / "none.json", "composition")


@pytest.mark.parametrize(("content", "place"), [(b'{"a": 1,\n"b"}', ":2"), (b"\xff", ""), (b"", ":1")])
def test_files_broken_file_is_named_with_its_line_and_not_quoted(tmp_path, content, place):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_json(path, "skill card")
    assert str(caught.value) == f"{path}{place} is not a readable skill card: make it again."


def test_files_folder_in_place_of_a_file_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="is not a readable report"):
        read_json(tmp_path, "report")


def test_store_layout_is_where_things_lie(tmp_path):
    store = Store(tmp_path)
    assert store.model("smollm2") == tmp_path / "models/smollm2"
    assert store.skill("smollm2", "nli") == store.skills("smollm2") / "nli" == tmp_path / "skills/smollm2/nli"
    assert store.composition("smollm2", "mine") == tmp_path / "compositions/smollm2/mine.json"
    assert store.run("r") == tmp_path / "runs/r"
    assert store.report("r") == tmp_path / "reports/r.json"
    assert not list(tmp_path.iterdir())


def test_store_by_default_is_the_environments_or_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("MDKIF_STORE", str(tmp_path))
    assert Store().root == tmp_path
    monkeypatch.delenv("MDKIF_STORE")
    assert Store().root == Path("mdkif-store")
    monkeypatch.setenv("MDKIF_STORE", "")
    assert Store().root == Path("mdkif-store")
