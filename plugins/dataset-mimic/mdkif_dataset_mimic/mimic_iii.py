"""MIMIC-III v1.4: one folder of tables, notes among them, codes of ICD-9-CM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mdkif import ConversionReport

from .codes import Kind, dotted
from .deid import BRACKETS
from .edition import Edition, Mark, Part
from .tables import find_table, rows


class MimicIII(Edition):
    """The folder `mimiciii/1.4`; the open demo lacks NOTEEVENTS."""

    name = "mimic-iii"
    note_table = "NOTEEVENTS"
    note_remedy = "get NOTEEVENTS.csv.gz from the credentialed MIMIC-III, as the open demo has no notes."
    deid_mark = BRACKETS
    elective_types = frozenset({"ELECTIVE"})
    versions = ("both", "9")

    @classmethod
    def at(cls, source: Path, version: str = "both") -> MimicIII:
        """The edition in the folder a user gives."""
        return cls(source, source, version)

    def parts(self, conversion: ConversionReport) -> Iterator[Part]:
        """Rows of category Discharge summary, DESCRIPTION Report or Addendum, that belong to an admission.

        HADM_ID is empty for outpatients, ISERROR is 1 for notes of the wrong patient, and discharge
        summaries have a CHARTDATE but no CHARTTIME.
        """
        columns = ("SUBJECT_ID", "HADM_ID", "CHARTDATE", "CATEGORY", "DESCRIPTION", "ISERROR", "TEXT")
        for row in rows(self.notes, self.note_table, columns, conversion):
            if row["CATEGORY"].lower() != "discharge summary":
                conversion.leave_out("note that is no discharge summary")
            elif row["ISERROR"] == "1":
                conversion.leave_out("note marked as an error")
            elif not row["HADM_ID"]:
                conversion.leave_out("discharge summary without an admission")
            elif not (text := row["TEXT"]):
                conversion.leave_out("discharge summary without text")
            else:
                addendum = row["DESCRIPTION"].lower() != "report"
                yield Part(row["SUBJECT_ID"], row["HADM_ID"], addendum, row["CHARTDATE"], row.line, text, row.source)

    def codes(self, kind: Kind, conversion: ConversionReport) -> Iterator[Mark]:
        """ICD9_CODE of DIAGNOSES_ICD or PROCEDURES_ICD, some of which is null."""
        table = f"{kind.upper()}_ICD"
        for row in rows(self.tables, table, ("SUBJECT_ID", "HADM_ID", "ICD9_CODE"), conversion):
            if code := row["ICD9_CODE"]:
                yield Mark(row["SUBJECT_ID"], row["HADM_ID"], dotted(code, kind))
            else:
                conversion.leave_out(f"row of {table} without a code")

    def titles(self, kind: Kind, conversion: ConversionReport) -> dict[str, str]:
        """SHORT_TITLE of D_ICD_DIAGNOSES or D_ICD_PROCEDURES, which lack 144 and 16 of the codes in use."""
        table = f"D_ICD_{kind.upper()}"
        if find_table(self.tables, table) is None:
            return {}
        found = rows(self.tables, table, ("ICD9_CODE", "SHORT_TITLE"), conversion)
        titles = {dotted(row["ICD9_CODE"], kind): " ".join(row["SHORT_TITLE"].split()) for row in found}
        return {code: title for code, title in titles.items() if title}
