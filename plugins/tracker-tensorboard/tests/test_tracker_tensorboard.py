"""What the tracker writes, read back by a reader of its own of TensorBoard's files."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import pytest
from mdkif import AdaptSettings, EvaluateSettings, Run, Toolkit, TrainSettings
from mdkif.testing import assert_conforms
from mdkif_synthetic import generate
from mdkif_tracker_tensorboard import FOLDER, mdkif_evaluated, mdkif_run_began, mdkif_run_ended, mdkif_stepped
from tensorboardX.proto.event_pb2 import Event

SETTINGS = TrainSettings(steps=3, batch_size=2, max_length=256, dev_records=4)
RUN = Run(id="train-nli-1", stage="train", name="nli", base="tiny", settings={"seed": 7, "learning_rate": 0.25})


def crc32c(data: bytes) -> int:
    """Castagnoli's checksum, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    """The checksum as TFRecord files hold it."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def events(file: Path) -> Iterator[Event]:
    """The records of a file: length, its checksum, data, their checksum."""
    data = file.read_bytes()
    while data:
        size = struct.unpack("<Q", data[:8])[0]
        assert data[8:12] == masked(data[:8])
        assert data[12 + size : 16 + size] == masked(data[12 : 12 + size])
        yield Event.FromString(data[12 : 12 + size])
        data = data[16 + size :]


def board(folder: Path, stage: str) -> tuple[dict[str, dict[int, float]], dict[str, str]]:
    """The curves of the only run of a stage, by tag, and its texts."""
    [file] = folder.glob(f"{stage}-*/events.out.tfevents.*")
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    texts = {}
    for event in events(file):
        for value in event.summary.value:
            if value.WhichOneof("value") == "tensor":
                texts[value.tag.removesuffix("/text_summary")] = value.tensor.string_val[0].decode()
            else:
                curves[value.tag][event.step] = value.simple_value
    return curves, texts


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "hospital"
    generate(folder, seed=0, patients=60)
    return folder


def test_tracker_tensorboard_plugin_conforms():
    assert_conforms("mdkif-tracker-tensorboard")


def test_tracker_tensorboard_run_of_each_stage_is_there_as_it_was(hospital, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path / "curves"))
    kit = Toolkit(tmp_path / "store", "tiny", dtype="float32")
    questions = {"pubmedqa": hospital / "PubMedQA"}
    card = kit.train("nli", {"mednli": hospital / "MedNLI"}, trainer="adalora", settings=SETTINGS).card
    adapted = kit.adapt("pubmedqa", questions, router="uniform", settings=AdaptSettings(shots=4))
    asked = EvaluateSettings(limit=4)
    base, skill = kit.evaluate("pubmedqa", questions, ["base", "skill:nli"], settings=asked)

    curves, texts = board(tmp_path / "curves", "train")
    assert {"loss", "learning_rate", "rank"} <= set(curves)
    assert list(curves["loss"]) == [1, 2, 3]
    assert mean(curves["loss"].values()) == pytest.approx(card["metrics"]["train_loss"])
    assert curves["dev_loss/base"] == {3: pytest.approx(card["metrics"]["dev_loss_before"])}
    assert curves["dev_loss/skill-nli"] == {3: pytest.approx(card["metrics"]["dev_loss"])}
    assert "| steps | 3 |" in texts["run"]
    assert texts["outcome"] == "finished"

    curves, _ = board(tmp_path / "curves", "adapt")
    for name, value in adapted.references.items():
        [found] = curves[f"objective/{name.replace(' ', '_')}"].values()
        assert found == pytest.approx(value)
    assert list(curves["objective"]) == list(range(1, len(curves["objective"]) + 1))
    assert min(curves["objective"].values()) == pytest.approx(adapted.start)

    curves, texts = board(tmp_path / "curves", "evaluate")
    for done, name in ((base, "base"), (skill, "skill-nli")):
        for metric, value in done.metrics.items():
            assert curves[f"{metric}/{name}"] == {0: pytest.approx(value)}
    assert "| limit | 4 |" in texts["run"]


def test_tracker_tensorboard_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    mdkif_run_began(RUN)
    mdkif_stepped(RUN, 1, {"loss": 1.0})
    mdkif_evaluated(RUN, "base", {"accuracy": 1.0})
    mdkif_run_ended(RUN, "finished")
    assert list(tmp_path.iterdir()) == []


def test_tracker_tensorboard_runs_side_by_side_keep_their_figures_apart(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    other = Run(id="adapt-mednli-2", stage="adapt", name="mednli", base="tiny", settings={})
    for run in (RUN, other):
        mdkif_run_began(run)
    for step in (1, 2):
        mdkif_stepped(RUN, step, {"loss": float(step)})
        mdkif_stepped(other, step, {"objective": 10.0 * step})
    mdkif_evaluated(other, "uniform", {"objective": 3.0})
    mdkif_run_ended(RUN, "interrupted")
    mdkif_run_ended(other, "failed")
    curves, texts = board(tmp_path, "train")
    assert (curves, texts["outcome"]) == ({"loss": {1: 1.0, 2: 2.0}}, "interrupted")
    assert "| seed | 7 |\n| learning_rate | 0.25 |" in texts["run"]
    curves, texts = board(tmp_path, "adapt")
    assert curves == {"objective": {1: 10.0, 2: 20.0}, "objective/uniform": {2: 3.0}}
    assert texts["outcome"] == "failed"


@pytest.mark.parametrize("address", ["s3://bucket/curves", "gs://bucket/curves"])
def test_tracker_tensorboard_address_on_a_network_is_a_folder_here(tmp_path, monkeypatch, address):
    """tensorboardX would upload to it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER, address)
    mdkif_run_began(RUN)
    mdkif_run_ended(RUN, "finished")
    [file] = tmp_path.rglob("events.out.tfevents.*")
    assert file.parent.name == RUN.id


def test_tracker_tensorboard_folder_that_cannot_be_written_stops_no_run(hospital, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(FOLDER, str(tmp_path / "file" / "curves"))
    kit = Toolkit(tmp_path / "store", "tiny", dtype="float32")
    made = kit.train("nli", {"mednli": hospital / "MedNLI"}, trainer="lora", settings=SETTINGS)
    assert made.path.is_dir()
    tracker = next(plugin for plugin in kit.plugins.plugins if plugin.dist == "mdkif-tracker-tensorboard")
    assert tracker.listens == []
