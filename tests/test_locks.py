"""Locks: one writer at a time, none outlives its process, and no reader waits or sees a thing gone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from mdkif.core.adapters.library import Library
from mdkif.core.store.locks import holder, lock_file, locked

HOLD = (
    "import sys, time; from pathlib import Path; from mdkif.core.store.locks import locked\n"
    "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def other():
    """A function that has another process hold the lock of a path."""
    started = []

    def hold(path):
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_lock_is_held_by_one_process_and_says_by_whom(tmp_path, other):
    path = tmp_path / "deep" / "thing"
    process = other(path)
    by = holder(lock_file(path))
    assert by.pid == process.pid
    assert f"process {process.pid} on {by.host}, for " in str(by)
    told, done = [], []

    def wait():
        with locked(path, told.append):
            done.append(holder(lock_file(path)))

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not told:
        time.sleep(0.01)
    assert not done
    os.kill(process.pid, signal.SIGKILL)
    waiting.join(30)
    assert len(told) == 1
    assert told[0].startswith(f"Waiting for process {process.pid} on {by.host}, for ")
    assert told[0].endswith(" work on thing.")
    assert [each.pid for each in done] == [os.getpid()]


def test_lock_of_a_killed_process_is_nobodys_and_is_taken_at_once(tmp_path, other):
    path = tmp_path / "thing"
    process = other(path)
    process.kill()
    process.wait()
    assert lock_file(path).exists()
    assert holder(lock_file(path)) is None
    with locked(path, pytest.fail):
        assert json.loads(lock_file(path).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_lock_leaves_nothing_and_lets_go_when_the_block_fails(tmp_path):
    def work():
        with locked(tmp_path / "thing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "thing", pytest.fail):
        pass


COUNT = (
    "import sys; from pathlib import Path; from mdkif.core.store.locks import locked\n"
    "path = Path(sys.argv[1])\n"
    "for _ in range(60):\n"
    "    with locked(path):\n"
    "        path.write_text(str(int(path.read_text()) + 1))\n"
)


def test_lock_of_many_processes_loses_no_turn(tmp_path):
    (path := tmp_path / "count").write_text("0")
    workers = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)]) for _ in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    assert path.read_text() == "240"
    assert [each.name for each in tmp_path.iterdir()] == ["count"]


WRITE = """
import sys
from pathlib import Path
from mdkif.core.adapters.library import Library
library = Library(Path(sys.argv[1]), "tiny")
for i in range(40):
    card = {"skill": "nli", "base": "tiny", "fingerprint": "0", "created": f"{i:04}"}
    with library.adding(card, replace=sys.argv[2] == "replace") as part:
        (part / "adapter_config.json").write_text("{}")
        (part / "adapter_model.safetensors").write_bytes(f"{sys.argv[3]}{i}".encode())
"""


@pytest.mark.parametrize("replace", ["replace", "keep"])
def test_skill_is_never_gone_for_a_reader_while_two_processes_train_it(tmp_path, replace):
    folder = tmp_path / "skills" / "tiny"
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(folder), replace, str(i)]) for i in range(2)]
    try:
        while not folder.is_dir() or not Library(folder, "tiny").versions:
            assert all(writer.poll() in (None, 0) for writer in writers)
        reads = 0
        while any(writer.poll() is None for writer in writers):
            library = Library(folder, "tiny")
            found = library.get("nli")
            assert not library.broken
            assert found.damaged is None or replace == "replace"
            reads += 1
        assert [writer.wait() for writer in writers] == [0, 0]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert reads > 0
    assert len(Library(folder, "tiny").versions["nli"]) == (1 if replace == "replace" else 80)
    assert {path.name[:4] for path in folder.iterdir()} <= {"nli", "nli@"}
