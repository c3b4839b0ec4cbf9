"""Where the time of our side of a comparison goes, operation by operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

SHOWN = 20
COLUMNS = ("operation", "share", "seconds", "calls")


class Profiled(Exception):
    """Raised by a comparison that is profiled, in place of its row; `rows` are its operations."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        super().__init__("a profile was asked for")
        self.rows = rows


def profiled(work: Callable[[], object]) -> Profiled:
    """Run the work twice, the second time under PyTorch's profiler. An operation's time is without what it calls."""
    work()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    events = sorted(found.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return Profiled(
        [
            {
                "operation": event.key,
                "share": f"{event.self_cpu_time_total / total:.1%}",
                "seconds": round(event.self_cpu_time_total / 1e6, 3),
                "calls": event.count,
            }
            for event in events[:SHOWN]
        ]
    )
