"""A world that grows: when each level opened, and how well it was known."""

from collections.abc import Iterator

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
