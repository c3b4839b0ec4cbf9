"""An experiment's figure as SVG: a metric against what is varied, or the weights that routers found."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from .results import Column, Results, Row

INK, FAINT = "#7a7a7a", "#7a7a7a40"
COLOURS = ("#2a7fbf", "#d2691e", "#2e9e6b", "#b0579c", "#a88b00", "#6a6ad8", "#c0504d", "#3aa6a6")
MARKS = "osD^vPX*"
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "mdkif", "font.size": 9, "font.family": "sans-serif", "text.color": INK,
    "axes.labelcolor": INK, "axes.titlecolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "legend.labelcolor": INK, "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip
"""Middle tones on nothing are read on white, on black and on paper; marks tell lines apart without colour."""


def svg(results: Results) -> str:
    """The figure, the same text for the same results.

    Bars have a panel for each task, lines one for each metric of a task, with a method's standard deviation as a
    band. The paper's own numbers are dashed.
    """
    with mpl.rc_context(STYLE):
        bars = results.experiment.figure == "weights"
        tasks = list(dict.fromkeys(task for _, task in results.weights))
        panels = list(dict.fromkeys((each.task, each.metric) for each in results.columns))
        count = max(1, len(tasks if bars else panels))
        figure = Figure(figsize=(3.4 * count, 3.2), layout="constrained")
        axes = list(figure.subplots(1, count, squeeze=False)[0])
        for axis, panel in zip(axes, tasks if bars else panels, strict=False):
            _bars(axis, results, str(panel)) if bars else _lines(axis, results, *panel)
        handles: dict[str, Any] = {}
        for axis in axes:
            axis.grid(axis="x" if bars else "y", color=FAINT, linewidth=0.6)
            handles |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
        if handles:
            figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return out.getvalue()


def _lines(axis: Any, results: Results, task: str, metric: str) -> None:
    unit, (varied, values) = results.experiment.unit, results.experiment.varied
    places = [float(x) for x in values] if all(map(_numeric, values)) else list(range(len(values)))
    for number, row in enumerate(results.rows):
        colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
        entries = [results.entries[row, Column(task, metric, x)] for x in values]
        told = [(x, e.mean * unit, (e.sd or 0) * unit) for x, e in zip(places, entries, strict=True)
                if e.mean is not None]  # fmt: skip
        name = _name(results, row)
        if told:
            xs, means, spread = zip(*told, strict=True)
            axis.plot(xs, means, color=colour, marker=mark, markersize=4, label=name)
            low, high = ([m + sign * s for m, s in zip(means, spread, strict=True)] for sign in (-1, 1))
            axis.fill_between(xs, low, high, color=colour, alpha=0.18, linewidth=0)
        if paper := [(x, e.paper) for x, e in zip(places, entries, strict=True) if e.paper is not None]:
            axis.plot(*zip(*paper, strict=True), "--", color=colour, marker=mark, markersize=4, fillstyle="none",
                      label=f"{name}, the paper's")  # fmt: skip
    if not all(map(_numeric, values)):
        axis.set_xticks(places, values, rotation=30, ha="right")
    axis.set(title=task, xlabel=varied, ylabel=f"{metric} (%)" if unit == 100 else metric)


def _bars(axis: Any, results: Results, task: str) -> None:
    rows = [row for row, found in results.weights if found == task]
    skills = list(dict.fromkeys(name for row in rows for weights in results.weights[row, task] for name in weights))
    height = 0.8 / len(rows)
    for number, row in enumerate(rows):
        found = [[weights.get(name, 0.0) for weights in results.weights[row, task]] for name in skills]
        means = [sum(each) / len(each) for each in found]
        ends = [[m - min(each) for m, each in zip(means, found, strict=True)],
                [max(each) - m for m, each in zip(means, found, strict=True)]]  # fmt: skip
        places = [place + number * height for place in range(len(skills))]
        axis.barh(places, means, height * 0.9, xerr=ends, color=COLOURS[number % len(COLOURS)], ecolor=INK,
                  label=_name(results, row))  # fmt: skip
    axis.set_yticks([place + 0.4 - height / 2 for place in range(len(skills))], skills)
    axis.invert_yaxis()
    axis.set(title=task, xlabel="weight")


def _name(results: Results, row: Row) -> str:
    several = len({each.setting for each in results.rows}) > 1
    return f"{row.method}, {row.setting}" if several else row.method


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
