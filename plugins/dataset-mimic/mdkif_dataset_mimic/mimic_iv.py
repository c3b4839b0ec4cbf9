"""MIMIC-IV with MIMIC-IV-Note: tables in `hosp`, discharge summaries in `note`, codes of ICD-9 and ICD-10."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mdkif import BadInput, ConversionReport

from .codes import Kind, dotted
from .deid import UNDERSCORES
from .edition import Edition, Mark, Part
from .tables import Row, find_table, rows

DEEPEST = 5
"""How far below the given folder `hosp` and `note` are looked for: `wget` makes `physionet.org/files/mimiciv/3.1`."""


class MimicIV(Edition):
    """A folder that contains `hosp` and `note`, or a parent of the two projects they come from.

    A code is named by its version, "ICD-9 401.9": E codes and V codes of the two look alike.
    """

    name = "mimic-iv"
    note_table = "discharge"
    note_remedy = "get note/discharge.csv.gz of MIMIC-IV-Note, which is a project of its own."
    deid_mark = UNDERSCORES
    elective_types = frozenset({"ELECTIVE", "SURGICAL SAME DAY ADMISSION"})
    versions = ("both", "9", "10")

    @classmethod
    def at(cls, source: Path, version: str = "both") -> MimicIV:
        """The edition below the folder a user gives. Raises BadInput unless there is one `hosp` and one `note`."""
        return cls(_only(source, "hosp", "MIMIC-IV"), _only(source, "note", "MIMIC-IV-Note"), version)

    def parts(self, conversion: ConversionReport) -> Iterator[Part]:
        """Rows of discharge.csv.gz: note_type DS is a discharge summary, AD an addendum to one."""
        for row in rows(
            self.notes, self.note_table, ("SUBJECT_ID", "HADM_ID", "NOTE_TYPE", "CHARTTIME", "TEXT"), conversion
        ):
            kind = row["NOTE_TYPE"].upper()
            if kind not in ("DS", "AD"):
                conversion.leave_out("note that is no discharge summary")
            elif not row["HADM_ID"]:
                conversion.leave_out("discharge summary without an admission")
            elif not (text := row["TEXT"]):
                conversion.leave_out("discharge summary without text")
            else:
                yield Part(
                    row["SUBJECT_ID"], row["HADM_ID"], kind == "AD", row["CHARTTIME"], row.line, text, row.source
                )

    def codes(self, kind: Kind, conversion: ConversionReport) -> Iterator[Mark]:
        """icd_code of diagnoses_icd or procedures_icd, of the wanted version."""
        table = f"{kind}_icd"
        for row, code in _coded(self.tables, table, ("SUBJECT_ID", "HADM_ID"), kind, conversion):
            if self.version not in ("both", row["ICD_VERSION"]):
                conversion.leave_out(f"row of {table} of the other version")
            elif code:
                yield Mark(row["SUBJECT_ID"], row["HADM_ID"], code)
            else:
                conversion.leave_out(f"row of {table} without a code")

    def titles(self, kind: Kind, conversion: ConversionReport) -> dict[str, str]:
        """long_title of d_icd_diagnoses or d_icd_procedures with the version, as the two share many titles."""
        table = f"d_icd_{kind}"
        if find_table(self.tables, table) is None:
            return {}
        found = _coded(self.tables, table, ("LONG_TITLE",), kind, conversion)
        titles = {code: (" ".join(row["LONG_TITLE"].split()), row["ICD_VERSION"]) for row, code in found}
        return {code: f"{title} (ICD-{version})" for code, (title, version) in titles.items() if title}


def _coded(
    folder: Path, table: str, columns: tuple[str, ...], kind: Kind, conversion: ConversionReport
) -> Iterator[tuple[Row, str]]:
    """The rows of a table with codes, each with its named code, "" if it has none."""
    for row in rows(folder, table, (*columns, "ICD_CODE", "ICD_VERSION"), conversion):
        code, version = row["ICD_CODE"], row["ICD_VERSION"]
        if version in ("9", "10"):
            yield row, code and f"ICD-{version} {dotted(code, kind, version)}"
        else:
            conversion.malformed(row.path, row.line, "has an icd_version that is neither 9 nor 10")


def _only(source: Path, name: str, project: str) -> Path:
    for depth in range(DEEPEST):
        found = sorted(path for path in source.glob("*/" * depth + name) if path.is_dir())
        if len(found) > 1:
            raise BadInput(f"There are {len(found)} folders {name} below {source}: give the folder of one release.")
        if found:
            return found[0]
    raise BadInput(
        f"There is no folder {name} in or below {source}: "
        f"give the folder that contains hosp of MIMIC-IV and note of MIMIC-IV-Note; {name} comes with {project}."
    )
