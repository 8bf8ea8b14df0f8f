"""The table as a picture: how long minigen takes, in units of the peer's time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """A bar for each row that has a peer, a colour for each backend, peer and number of threads."""
    rows = [row for row in rows if row["ratio_min"]]
    names = list(dict.fromkeys(row["workload"] for row in rows))
    groups = list(dict.fromkeys((row["backend"], row["peer"], row["threads"]) for row in rows))
    figure = Figure(figsize=(8, 0.8 + 0.16 * len(names) * (len(groups) + 1)), layout="constrained")
    axes = figure.subplots()
    high = 0.8 / max(len(groups), 1)
    for k, group in enumerate(groups):
        ratio = {
            row["workload"]: row["ratio_min"] for row in rows if group == (row["backend"], row["peer"], row["threads"])
        }
        at = [i + k * high for i, name in enumerate(names) if name in ratio]
        values = [ratio[name] for name in names if name in ratio]
        bars = axes.barh(at, values, high, label=f"{group[0]} / {group[1]}, threads: {group[2]}")
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=6)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks([i + high * (len(groups) - 1) / 2 for i in range(len(names))], names, fontsize=7)
    axes.set_ylim(len(names) - 0.5 + high, -high)
    axes.set_xscale("log")
    figure.supxlabel("time of minigen / time of the peer, ratio of minima: left of 1, minigen is faster", fontsize=9)
    if groups:
        figure.legend(loc="outside upper center", ncols=2, fontsize=7)
    figure.savefig(file, dpi=120)
