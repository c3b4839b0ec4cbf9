"""The picture of the rooms of core/: their order, what enters each, and what it leaves on disk.

Order and purpose are read from the tree; `python tests/test_docs.py --write` draws it again.
"""

import ast
import re
from html import escape
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from test_architecture import CORE, ORDER, ROOMS

PICTURE = CORE.parent / "docs/architecture.svg"
ENTERS = {
    "contract": "plugins, by entry points",
    "data": "official files, untouched",
    "models": "a language model",
    "prompts": "templates (Jinja)",
    "adapters": "trained adapters (PEFT)",
    "training": "one skill's records",
    "routing": "a task's few examples",
    "evaluation": "test records",
    "experiments": "recipes (TOML)",
    "conformance": "a plugin and its sample",
    "toolkit": "Python: Toolkit(…)",
    "commands": "a shell: mdkif train …",
}
LEAVES = {
    "store": "mdkif-store/",
    "data": "records (JSONL, Parquet)",
    "models": "models/BASE/",
    "prompts": "templates/",
    "adapters": "compositions/BASE/",
    "inference": "predictions",
    "training": "runs/, then skills/BASE/",
    "routing": "cache/",
    "evaluation": "reports/",
    "export": "LoRA, merged model, GGUF",
    "experiments": "experiments/, tables, figures",
    "conformance": "rules kept and broken",
    "commands": "tables, JSON",
}
LEFT, RIGHT, WIDTH, HEIGHT, TOP = 264, 732, 1000, 52, 54


def rows() -> list[tuple[str, ...]]:
    """The rooms in their order; modules that stand beside them share a row with their neighbours."""
    found: list[tuple[str, ...]] = []
    for is_room, group in groupby(ORDER, key=ROOMS.__contains__):
        names = tuple(group)
        found += [(name,) for name in names] if is_room else [names]
    return found


def purpose(name: str) -> str:
    """The first line of the docstring of a room, or of a module beside the rooms."""
    path = CORE / name / "__init__.py" if name in ROOMS else CORE / f"{name}.py"
    found = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return found.partition("\n")[0].rstrip(".")


def drawn() -> str:
    """The picture as SVG, legible on light and dark pages."""
    height = TOP + HEIGHT * len(rows()) + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">',
        "<title>The rooms of core/ in their order: what enters, and what is left on disk</title>",
        "<style>text{font:14.5px system-ui,'Segoe UI','DejaVu Sans',sans-serif;fill:#243b53}"
        ".name{font-weight:700;font-size:15.5px;fill:#102a43}.small{font-size:13px;fill:#486581}"
        ".head{font-weight:700;fill:#627d98}.code{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:13px}"
        "</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#627d98"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#f7fafc"/>',
        _text(LEFT - 24, 32, "what enters", "head", "end"),
        _text((LEFT + RIGHT) / 2, 32, "the rooms of core/", "head", "middle"),
        _text(RIGHT + 24, 32, "what it leaves", "head"),
    ]
    for number, names in enumerate(rows()):
        parts += _row(TOP + HEIGHT * number, names)
    parts += _along(20, height - 24, TOP + 6, "imports go up only")
    parts += _along(WIDTH - 20, TOP + 6, height - 24, "data goes down")
    return "\n".join([*parts, "</svg>", ""])


def _row(top: float, names: tuple[str, ...]) -> list[str]:
    """A room as one box, or the modules beside the rooms as small ones, with what enters and leaves."""
    middle, parts = top + HEIGHT / 2, []
    share = (RIGHT - LEFT + 8) / len(names)
    for number, name in enumerate(names):
        x = LEFT + share * number
        fill, dash = ("#ffffff", "") if name in ROOMS else ("#eef2f7", ' stroke-dasharray="4 3"')
        box = f'x="{x:g}" y="{top + 4:g}" width="{share - 8:g}" height="{HEIGHT - 8}" rx="6"'
        parts.append(f'<rect {box} fill="{fill}" stroke="#829ab1"{dash}/>')
        if len(names) > 1:
            parts.append(_text(x + (share - 8) / 2, middle + 5, name, "name", "middle"))
            continue
        lines = wrap(purpose(name), 48)
        lines = lines if len(lines) < 3 else wrap(re.split("[:;]", purpose(name))[0], 48)
        parts.append(_text(x + 12, middle + 5, name, "name"))
        parts += [_text(x + 130, middle + 4.5 + 15 * (i - (len(lines) - 1) / 2), each, "small")
                  for i, each in enumerate(lines)]  # fmt: skip
    [name] = names[:1]
    if name in ENTERS:
        parts += [_text(LEFT - 24, middle + 4, ENTERS[name], "", "end"), _arrow(LEFT - 20, middle, LEFT - 2, middle)]
    if name in LEAVES:
        style = "code" if "/" in LEAVES[name] else ""
        parts += [_text(RIGHT + 24, middle + 4, LEAVES[name], style), _arrow(RIGHT + 2, middle, RIGHT + 20, middle)]
    return parts


def _along(x: float, begin: float, end: float, text: str) -> list[str]:
    """A tall arrow at the edge, with its meaning beside it."""
    inside = x + 18 if x < WIDTH / 2 else x - 10
    turned = f'transform="rotate(-90 {inside:g} {(begin + end) / 2:g})"'
    return [_arrow(x, begin, x, end), _text(inside, (begin + end) / 2, text, "head", "middle", turned)]


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    ends = f'x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}"'
    return f'<line {ends} stroke="#627d98" stroke-width="1.5" marker-end="url(#tip)"/>'


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start", more: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y:g}"{kind} text-anchor="{anchor}" {more}>{escape(text)}</text>'.replace(" >", ">")


def table() -> str:
    """The rooms as a Markdown table: what each is for, and its modules."""
    lines = ["| room | what it does | modules |", "|---|---|---|"]
    for name in ORDER:
        inside = ", ".join(f"`{path.stem}`" for path in sorted((CORE / name).glob("[!_]*.py")))
        title = f"**`{name}/`**" if name in ROOMS else f"`{name}.py`"
        lines.append(f"| {title} | {purpose(name)} | {inside} |")
    return "\n".join(lines)


def write(path: Path = PICTURE) -> None:
    """Draw the picture anew."""
    path.write_text(drawn(), encoding="utf-8")
