"""The pictures, drawn with matplotlib where it is installed."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..run.files import write
from ..run.runtime import Row, warn_once

DASHED = {"linestyle": "--", "color": "grey"}
BESIDE = 4  # runs that growth.png has side by side, at most


def draw(path: Path, plot: Callable[..., None], *content: Any) -> bool:
    """Write as PNG what `plot(*content, figure)` draws.

    The user's own style has no part in it.  False, and a warning, where it can't be drawn.
    """
    os.environ["MPLBACKEND"] = "agg"  # matplotlib is not loaded with one that it doesn't know
    try:
        from matplotlib import style

        with style.context("default"):
            picture = drawn(plot, *content)
    except ImportError:
        return False
    except Exception as error:  # a picture never costs a run
        warn_once(f"{path} was not drawn ({error}): the figures are in the files beside it")
        return False
    write(path, picture)
    return True


def drawn(plot: Callable[..., None], *content: Any) -> bytes:
    """The PNG."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    plot(*content, figure)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def curve(rows: list[Row], figure: Any) -> None:
    """curve.png: accuracy by the corrections that were asked for, over all and by level."""
    asked = [row["corrections"] for row in rows]
    accuracy = [row["test_accuracy"] for row in rows]
    low = [row["test_accuracy"] - row["test_low"] for row in rows]
    high = [row["test_high"] - row["test_accuracy"] for row in rows]
    figure.set_size_inches(10, 4)
    left, right = figure.subplots(1, 2, sharey=True)
    left.errorbar(asked, accuracy, [low, high], marker="o", capsize=3, label="after each round")
    left.axhline(accuracy[0], label="base", **DASHED)
    left.fill_between(asked, accuracy[0], accuracy, alpha=0.15)
    left.legend()
    gained = 100 * (accuracy[-1] - accuracy[0])
    left.set(title=f"All {rows[-1]['test_n']:,} test questions: {gained:+.1f} points")
    left.set(xlabel="corrections asked for", ylabel="test accuracy", ylim=(0, 1.02))
    for level in rows[0]["by_level"]:
        values = [row["by_level"][level] for row in rows]
        right.plot(asked, values, marker="o", label=f"level {level}")
    right.set(title="By level", xlabel="corrections asked for")
    right.legend()


def diagnostics(row: Row, figure: Any) -> None:
    """diagnostics.png: how far the detector of a round can be trusted."""
    figure.set_size_inches(8, 3.6)
    left, right = figure.subplots(1, 2)
    for n, sure, share in row["reliability"]:
        left.scatter(sure, share, 4 * n**0.5, color="C0")
    left.plot([0, 1], [0, 1], **DASHED)
    left.set(title=f"Round {row['round']}: ECE {row['ece']:.3f}", ylabel="share that is right")
    left.set(xlabel="confidence (dashed: as it should be)")
    right.plot([n / 10 for n in range(1, 11)], row["risk"], marker="o", markersize=4)
    right.set(title=f"AUROC {row['auroc']:.3f}", ylabel="share that is wrong", ylim=(0, None))
    right.set(xlabel="share answered, the surest first")


def comparison(found: Row, figure: Any) -> None:
    """compare.png: each arm's mean over seeds, by corrections, with its interval at the end."""
    figure.set_size_inches(9, 4.8)
    axes = figure.subplots()
    best_first = sorted(found["arms"], key=lambda arm: -arm["test_accuracy"])
    for i, arm in enumerate(best_first):
        look = {"color": f"C{i % 10}", "linestyle": "-" if i < 10 else "--"}
        curves = [cell["curve"] for cell in found["cells"] if cell["arm"] == arm["arm"]]
        for points in curves:
            axes.plot(*np.transpose(points), **look, alpha=0.2)
        asked, accuracy = np.mean(curves, 0).T
        label = f"{arm['arm']} {accuracy[-1]:.3f} (seeds: {len(curves)})"
        axes.plot(asked, accuracy, **look, marker="o", markersize=4, label=label)
        axes.vlines(asked[-1], arm["test_low"], arm["test_high"], look["color"], linewidth=3)
    axes.set(title="What each arm learns from its corrections: mean over seeds, 95 % interval")
    axes.set(xlabel="corrections", ylabel="test accuracy")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def growth(cells: list[Row], figure: Any) -> None:
    """growth.png: accuracy by level and round, and what became of the levels of the start.

    A cell has a name, its `arm`, and `rounds`.  A white line is the highest open level.  Beyond
    the first few cells none are drawn.
    """
    cells = cells[:BESIDE]
    figure.set_size_inches(2 + 4 * len(cells), 6.5)
    maps, lines = figure.subplots(2, len(cells), squeeze=False, height_ratios=(2, 1))
    start = min(cell["rounds"][0]["levels"] for cell in cells)
    for top, bottom, cell in zip(maps, lines, cells, strict=True):
        shown = draw_map(top, cell)
        draw_start(bottom, cell["rounds"], start)
    figure.colorbar(shown, ax=maps)


def draw_map(axes: Any, cell: Row) -> Any:
    """All levels in all rounds of a run; returns the image."""
    rounds = cell["rounds"]
    levels = [int(level) for level in rounds[0]["by_level"]]
    known = np.array([list(row["by_level"].values()) for row in rounds])
    sides = (-0.5, len(rounds) - 0.5)
    box = (*sides, levels[0] - 0.5, levels[-1] + 0.5)
    image = axes.imshow(known.T, origin="lower", extent=box, aspect="auto", vmin=0, vmax=1)
    highest = [row["levels"] + 0.5 for row in rounds]
    axes.step(range(len(rounds)), highest, where="mid", color="white", linewidth=2)
    axes.set(title=f"{cell['arm']}: accuracy by level", ylabel="level", yticks=levels)
    return image


def draw_start(axes: Any, rounds: list[Row], start: int) -> None:
    """The levels up to `start`, round by round."""
    for level in rounds[0]["by_level"]:
        if int(level) <= start:
            known = [row["by_level"][level] for row in rounds]
            axes.plot(known, label=f"level {level}")
    axes.set(xlabel="round", ylabel="accuracy", ylim=(0.8, 1.0))
    axes.legend(loc="lower right", ncols=2)
