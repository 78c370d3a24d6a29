"""A world that grows: when each level opened, what was known of it, and a picture of that."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..run.journal import Row
from .report import table

# Of each round, what is told of it.
KEPT = ("levels", "mastery", "by_level", "corrections", "seconds", "label_precision_by_level")
TITLES = (
    "arm | seed | level | opened after round | minutes | corrections | base | at its end | as the"
    " teacher saw it | at the end of all | labels right"
)
LINE = (
    "| {arm} | {seed} | {level} | {round} | {minutes:.0f} | {corrections:,} | {base:.3f}"
    " | {then:.3f} | {seen:.3f} | **{end:.3f}** | {labels} |"
)


def openings(cell: Row) -> Iterator[Row]:
    """Each level that was the highest open one: when it opened, and how well it was known.

    `then` is in the last round in which it was the highest, of which `seen` is the teacher's view.
    """
    rounds = cell["rounds"]
    for level in dict.fromkeys(row["levels"] for row in rounds):
        name = str(level)
        if name not in rounds[0]["by_level"]:  # no test question is of it
            continue
        before = [row for row in rounds if row["levels"] < level]
        highest = [row for row in rounds if row["levels"] == level]
        last = highest[-1]
        found = {"arm": cell["arm"], "seed": cell["seed"], "level": level}
        found["round"] = max(0, len(before) - 1)
        found["minutes"] = sum(row["seconds"] for row in before) / 60
        found["corrections"] = before[-1]["corrections"] if before else 0
        found["base"] = rounds[0]["by_level"][name]
        found["then"] = last["by_level"][name]
        found["seen"] = last["mastery"]
        found["end"] = rounds[-1]["by_level"][name]
        found["labels"] = labels_right(highest, name)
        yield found


def labels_right(rounds: list[Row], level: str) -> str:
    """The share of a level's labels that are right, the mean of rounds; empty without labels."""
    shares = [row["label_precision_by_level"].get(level) for row in rounds]
    known = [share for share in shares if share is not None]
    return f"{np.mean(known):.3f}" if known else ""


def opened(cells: list[Row]) -> str:
    """The table of all levels that were the highest in any run."""
    lines = []
    for cell in cells:
        lines += [LINE.format(**found) for found in openings(cell)]
    return table(TITLES, lines)


def picture(found: Row, figure: Any) -> None:
    """growth.png: accuracy by level and round, and what became of the levels of the start.

    It shows the first seed; a white line is the highest open level.
    """
    cells = [cell for cell in found["cells"] if cell["seed"] == found["seeds"][0]]
    figure.set_size_inches(2 + 4 * len(cells), 6.5)
    maps, lines = figure.subplots(2, len(cells), squeeze=False, height_ratios=(2, 1))
    for top, bottom, cell in zip(maps, lines, cells, strict=True):
        shown = draw_map(top, cell)
        draw_start(bottom, cell["rounds"])
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


def draw_start(axes: Any, rounds: list[Row]) -> None:
    """The levels that were open from the start, round by round."""
    for level in rounds[0]["by_level"]:
        if int(level) <= rounds[0]["levels"]:
            known = [row["by_level"][level] for row in rounds]
            axes.plot(known, label=f"level {level}")
    axes.set(xlabel="round", ylabel="accuracy", ylim=(0.8, 1.0))
    axes.legend(loc="lower right", ncols=2)
