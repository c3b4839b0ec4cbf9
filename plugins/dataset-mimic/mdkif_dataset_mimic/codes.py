"""ICD codes as people write them: MIMIC's tables leave the dot out, so where it stands depends on the table."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["diagnoses", "procedures"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def dotted(code: str, kind: Kind, version: str = "9") -> str:
    """A code with its dot: only where digits follow it, and none in procedures of ICD-10.

    The same string is another code in the other table, so codes get their dots before they are merged.

    >>> [dotted(code, "diagnoses") for code in ("00845", "V5861", "E8788", "486", "3893")]
    ['008.45', 'V58.61', 'E878.8', '486', '389.3']
    >>> [dotted(code, "procedures") for code in ("0066", "3893")]
    ['00.66', '38.93']
    >>> dotted("E1065", "diagnoses", "10"), dotted("5A1955Z", "procedures", "10")
    ('E10.65', '5A1955Z')
    """
    if kind == "procedures":
        place = 2 if version == "9" else len(code)
    else:
        place = 4 if version == "9" and code.upper().startswith("E") else 3
    return f"{code[:place]}.{code[place:]}" if len(code) > place else code
