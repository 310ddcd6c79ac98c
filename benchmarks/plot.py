"""The run's outcome as a picture: a panel for each query, a bar for each peer, time and ratio beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.queries import QUERIES, Query
from benchmarks.timing import Entry

OURS, THEIRS = "#2a6f97", "#c9c9c9"


def draw(entries: Sequence[Entry], rows: int, file: Path) -> None:
    """Write the picture; the first entry is what the others are compared with."""
    shown = [entry for entry in entries if entry.times]
    figure, panels = pyplot.subplots(2, 2, figsize=(15, 1.6 + 0.7 * len(shown)), layout="constrained")
    figure.suptitle(
        f"{rows:,} hashes, seconds (log scale), less is better; in brackets: × gearsql on one server"
    )
    for panel, query in zip(panels.flat, QUERIES, strict=True):
        _draw_query(panel, query, shown, entries[0].seconds(query))
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _draw_query(panel: Axes, query: Query, entries: Sequence[Entry], unit: float | None) -> None:
    bars = [(entry, seconds) for entry in entries if (seconds := entry.seconds(query)) is not None]
    panel.set_title(f"{query.key}  {query.title}", loc="left", fontsize=10)
    drawn = panel.barh(
        [entry.peer.name for entry, _ in bars],
        [seconds for _, seconds in bars],
        color=[OURS if entry.peer.name.startswith("gearsql") else THEIRS for entry, _ in bars],
    )
    labels = [f" {seconds:.2f} s" + (f" ({seconds / unit:.1f}×)" if unit else "") for _, seconds in bars]
    panel.bar_label(drawn, labels, fontsize=8)
    panel.set_xscale("log")
    panel.margins(x=0.25)
    panel.invert_yaxis()
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
