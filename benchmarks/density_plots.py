"""Line charts of the density benchmark as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.report import Row

mpl.use("Agg")  # before pyplot: a machine that is measured has no screen

from matplotlib import pyplot as plt


def plot_boxes(boxes: Sequence[Row], floors: Mapping[str, float], cores: int, json_path: Path) -> list[Path]:
    """Draw CPU by cameras and gap by load beside ``json_path``; return the files."""
    json_path.parent.mkdir(parents=True, exist_ok=True)
    out = []
    for suffix, x, y, labels in (
        ("cpu", "cameras", "cpu_s_per_camera_s", ("cameras", "CPU s per camera-second")),
        ("gap", "cores_used", "gap_p95_intervals", (f"cores used, of {cores}", "p95 of gap, intervals")),
    ):
        figure, axes = plt.subplots(figsize=(7, 4))
        for vehicles in sorted({row["vehicles"] for row in boxes}):
            rows = sorted((row for row in boxes if row["vehicles"] == vehicles), key=lambda row: row[x])
            name = f"mixed, {vehicles} vehicles" if vehicles else "quiet"
            axes.plot([row[x] for row in rows], [row[y] for row in rows], "o-", label=name)
        if suffix == "cpu":
            for name, cost in floors.items():
                axes.axhline(cost, ls=":", lw=1, color="grey", label=f"floor, {name}")
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.set_ylim(bottom=0)
        axes.legend()
        figure.tight_layout()
        out.append(json_path.with_name(f"{json_path.stem}-{suffix}.png"))
        figure.savefig(out[-1], dpi=110)
        plt.close(figure)
    return out
