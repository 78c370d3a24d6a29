"""A world that grows: when each level opened, what was known of it, and a picture of that."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..run.journal import Row
from .report import table

TITLES = (
    "arm | seed | level | opened after round | minutes | corrections | base | at its end | as the"
    " teacher saw it | at the end of all | labels right"
)
LINE = (
    "| {arm} | {seed} | {level} | {round} | {minutes:.0f} | {corrections:,} | {base:.3f}"
    " | {then:.3f} | {seen:.3f} | **{end:.3f}** | {labels} |"
)
# Of each round, what is told of it.
KEPT = ("levels", "mastery", "by_level", "corrections", "seconds", "label_precision_by_level")


def openings(cell: Row) -> Iterator[Row]:
    """Each level that was the highest open one: when it opened, and how well it was known.

    `then` is in the last round in which it was the highest, of which `seen` is the teacher's view.
    """
    rounds = cell["rounds"]
    for level in dict.fromkeys(row["levels"] for row in rounds):
        name = str(level)
        if name not in rounds[0]["by_level"]:  # no test question is of it
            continue
        highest = [row for row in rounds if row["levels"] == level]
        before = [row for row in rounds if row["levels"] < level]
        labels = [row["label_precision_by_level"].get(name) for row in highest]
        labels = [share for share in labels if share is not None]
        yield {
            "arm": cell["arm"],
            "seed": cell["seed"],
            "level": level,
            "round": max(0, len(before) - 1),
            "minutes": sum(row["seconds"] for row in before) / 60,
            "corrections": before[-1]["corrections"] if before else 0,
            "base": rounds[0]["by_level"][name],
            "then": highest[-1]["by_level"][name],
            "seen": highest[-1]["mastery"],
            "end": rounds[-1]["by_level"][name],
            "labels": f"{np.mean(labels):.3f}" if labels else "",
        }


def opened(cells: list[Row]) -> str:
    """The table of all levels that were the highest in any run."""
    return table(TITLES, [LINE.format(**found) for cell in cells for found in openings(cell)])


def picture(found: Row, figure: Any) -> None:
    """growth.png: accuracy by level and round, and what became of the levels of the start.

    It shows the first seed; a white line is the highest open level.
    """
    seed = found["seeds"][0]
    cells = [cell for cell in found["cells"] if cell["seed"] == seed]
    figure.set_size_inches(2 + 4 * len(cells), 6.5)
    maps, lines = figure.subplots(2, len(cells), squeeze=False, height_ratios=(2, 1))
    for top, bottom, cell in zip(maps, lines, cells, strict=True):
        rounds = cell["rounds"]
        levels = [int(level) for level in rounds[0]["by_level"]]
        known = np.array([list(row["by_level"].values()) for row in rounds]).T
        box = (-0.5, len(rounds) - 0.5, levels[0] - 0.5, levels[-1] + 0.5)
        shown = top.imshow(known, origin="lower", extent=box, aspect="auto", vmin=0, vmax=1)
        open_levels = [row["levels"] + 0.5 for row in rounds]
        top.step(range(len(rounds)), open_levels, where="mid", color="white", linewidth=2)
        top.set(title=f"{cell['arm']}: accuracy by level", ylabel="level", yticks=levels)
        for level in range(rounds[0]["levels"]):
            bottom.plot(known[level], label=f"level {levels[level]}")
        bottom.set(xlabel="round", ylabel="accuracy", ylim=(0.8, 1.0))
        bottom.legend(loc="lower right", ncols=2)
    figure.colorbar(shown, ax=maps)
