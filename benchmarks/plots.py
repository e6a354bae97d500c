"""Time against batch, and against memory budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ways import NAMES


def plot(points: list[dict[str, Any]], stem: Path) -> list[Path]:
    """Draw what the points allow: two batches of one shape, or several budgets of one point. The files drawn."""
    import matplotlib

    matplotlib.use("Agg")
    drawn = [_against_batch(points, stem.with_name(stem.name + "-batch.png"))]
    drawn += [
        _against_budget(point, stem.with_name(f"{stem.name}-budget-{number}.png"))
        for number, point in enumerate(points)
        if point["budgets"]
    ]
    return [path for path in drawn if path is not None]


def _against_batch(points: list[dict[str, Any]], path: Path) -> Path | None:
    import matplotlib.pyplot as plt

    lines: dict[str, list[tuple[int, float]]] = {}
    for point in points:
        shape = f"{point['texts']}, {point['length']} tokens, {point['negatives']} + {point['negatives']}"
        for way, one in point["ways"].items():
            if way in NAMES:
                lines.setdefault(f"{NAMES[way]}: {shape}", []).append((point["batch"], one["seconds"]))
    lines = {label: sorted(line) for label, line in lines.items() if len(line) > 1}
    if not lines:
        return None
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for label, line in lines.items():
        axes.plot(*zip(*line, strict=True), marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel="rows a batch", ylabel="seconds a step")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path


def _against_budget(point: dict[str, Any], path: Path) -> Path:
    import matplotlib.pyplot as plt

    line = [(budget, point["ways"][f"{budget} MB"]) for budget in point["budgets"]]
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axes.plot([budget for budget, _ in line], [one["seconds"] for _, one in line], marker="o", label="seconds a step")
    for way, style in (("column-wise", "--"), ("cached", ":")):
        if way in point["ways"]:
            axes.axhline(point["ways"][way]["seconds"], linestyle=style, color="grey", label=NAMES[way])
    axes.set(xlabel="memory budget, MB", ylabel="seconds a step", ylim=(0, None))
    axes.set_title(f"{point['texts']}, {point['length']} tokens, batch {point['batch']}", loc="left")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path
