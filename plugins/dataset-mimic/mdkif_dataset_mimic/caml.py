"""The split of CAML (Mullenbach et al. 2018): `{train,dev,test}_{full,50}_hadm_ids.csv`."""

from __future__ import annotations

from pathlib import Path

from mdkif import BadInput, ConversionReport, text_lines


def caml_splits(folder: Path, top: int, conversion: ConversionReport) -> dict[str, str]:
    """The split of each admission: 47,723, 1,631 and 3,372 in the full lists, 8,066, 1,573 and 1,729 in the others.

    A file has one HADM_ID a line and no header. The folder `mimicdata/mimic3` of the repository holds both: the
    lists of 50 labels are read if `top` is 50. Raises BadInput if three files of one kind are not there.
    """
    for labels in ("50", "full") if top == 50 else ("full", "50"):
        files = {split: folder / f"{split}_{labels}_hadm_ids.csv" for split in ("train", "dev", "test")}
        if all(path.is_file() for path in files.values()):
            return _read(files, conversion)
    raise BadInput(
        f"There are no train_full_hadm_ids.csv, dev_full_hadm_ids.csv and test_full_hadm_ids.csv in {folder}, "
        "nor those of 50 labels: give mimicdata/mimic3 of the repository caml-mimic."
    )


def _read(files: dict[str, Path], conversion: ConversionReport) -> dict[str, str]:
    splits: dict[str, str] = {}
    for split, path in files.items():
        with text_lines(path, conversion) as lines:
            for number, line in enumerate(lines, 1):
                admission = line.strip()
                if not admission.isdecimal():
                    if admission:
                        conversion.malformed(path, number, "is not an HADM_ID")
                elif splits.setdefault(admission, split) != split:
                    conversion.malformed(path, number, "is an admission that another split has")
    return splits
