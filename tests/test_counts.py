"""The table of docs/results/counts.md, conversion by conversion, on the open distributions."""

import os
import re
from pathlib import Path

import pytest
from mdkif import ConversionReport, Toolkit

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("MDKIF_TEST_DATA") or ROOT.parent / "shared" / "data")
PAGE = ROOT / "docs" / "results" / "counts.md"
ROWS = [re.split(r" *\| *", line)[1:-1] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]


def counted(text):
    """`reason 3; other reason 4` as a mapping."""
    pairs = (part.rpartition(" ")[::2] for part in text.split("; ") if part)
    return {reason: int(count) for reason, count in pairs}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[:3]))
def test_counts_open_distributions_convert_to_the_counts_of_the_documentation(tmp_path, row):
    dataset, folder, options, records, splits, left_out, labels = row
    if not (DATA / folder).exists():
        pytest.skip(f"{DATA / folder} is not there")
    done, told = ConversionReport(), dict(option.split("=") for option in options.split("; ") if option)
    found = sum(len(r.labels) for r in Toolkit(tmp_path).convert(dataset.strip("`"), DATA / folder, done, told))
    assert done.records == int(records)
    assert [done.splits[name] for name in ("train", "dev", "test")] == [int(n) for n in splits.split(" / ")]
    assert done.left_out == counted(left_out)
    assert found == int(labels)


def test_counts_every_open_data_set_of_the_folder_has_a_row():
    """MIMIC's demonstrations have no notes, so no records; their plugin's tests read them."""
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    folders = {path.name for path in DATA.iterdir() if path.is_dir()}
    assert folders - {row[1] for row in ROWS} <= {"MIMIC-III-demo", "MIMIC-IV-demo"}
