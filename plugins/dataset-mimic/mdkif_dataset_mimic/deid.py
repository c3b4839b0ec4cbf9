"""The marks that de-identification left in notes, and what becomes of them."""

from __future__ import annotations

import re

DEID = ("keep", "drop", "mask")

BRACKETS = re.compile(r"\[\*\*.{0,200}?\*\*\]", re.DOTALL)
"""MIMIC-III's mark, which says what it hides: `[**Hospital1 18**]`."""

UNDERSCORES = re.compile(r"(?<!_)___(?!_)")
"""MIMIC-IV's mark, which does not; longer runs of underscores are rules and blanks of a form."""

_MASKS = tuple(
    (re.compile(pattern, re.IGNORECASE), mask)
    for pattern, mask in (
        (r"hospital|clinic|ward|unit", "[hospital]"),
        (r"telephone|phone|fax|pager|contact", "[phone]"),
        (r"location|state|country|address|street|city|zip|company", "[location]"),
        (r"age over", "[age]"),
        (r"name|initial|dictator|attending|md\b", "[name]"),
        (r"date|month|year|day|^[\s\d/-]+$", "[date]"),
    )
)


def deidentified(text: str, policy: str, mark: re.Pattern[str] = BRACKETS) -> str:
    """The text with its marks kept, dropped, or replaced by a typed mask, `[masked]` where the type is unknown.

    >>> deidentified("Dr. [**Last Name (STitle) 12**] on [**2151-7-16**]", "mask")
    'Dr. [name] on [date]'
    """
    if policy == "keep":
        return text
    if policy == "drop":
        return mark.sub("", text)
    return mark.sub(lambda found: _mask(found[0].strip("[*]")), text)


def _mask(inside: str) -> str:
    return next((mask for pattern, mask in _MASKS if pattern.search(inside)), "[masked]")
