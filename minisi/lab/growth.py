"""A world that grows: when each level opened, and how well it was known."""

from collections.abc import Iterator

from ..run.runtime import Row
from .report import table

# Of each round, what is told of it.
KEPT = "levels coverage_above by_level corrections seconds label_precision_by_level"
TITLES = (
    "arm | seed | level | opened after round | minutes | corrections | could be marked | base"
    " | a round later | at the end | labels | right | in the worst round"
)
LINE = (
    "| {arm} | {seed} | {level} | {round} | {minutes:.0f} | {corrections:,} | {covered} |"
    " {base:.3f} | {then:.3f} | **{end:.3f}** | {labels} | {right} | {worst} |"
)


def openings(cell: Row, lowest: int) -> Iterator[Row]:
    """Of each level from `lowest` on that opened: when that was, and how well it was known.

    `then` is the accuracy after the first round in which it was open.
    """
    rounds = cell["rounds"]
    for level in range(lowest, rounds[-1]["levels"] + 1):
        name = str(level)
        if name not in rounds[0]["by_level"]:  # no test question is of it
            continue
        before = [row for row in rounds if row["levels"] < level]
        played = [row for row in rounds[1:] if row["levels"] >= level] or rounds[-1:]
        found = {"arm": cell["arm"], "seed": cell["seed"], "level": level}
        found["round"] = len(before) - 1 if before else "-"
        found["minutes"] = sum(row["seconds"] for row in before) / 60
        found["corrections"] = before[-1]["corrections"] if before else 0
        found["covered"] = f"{before[-1]['coverage_above']:.3f}" if before else "-"
        found["base"] = rounds[0]["by_level"][name]
        found["then"] = played[0]["by_level"][name]
        found["end"] = rounds[-1]["by_level"][name]
        got, right = cell.get("labels", {}).get(name, [0, 0])  # comparisons of before have none
        found["labels"] = f"{got:,}" if got else ""
        found["right"] = f"{right / got:.3f}" if got else ""
        found["worst"] = worst_labels(played, name)
        yield found


def worst_labels(rounds: list[Row], level: str) -> str:
    """The share of a level's labels that are right, the lowest of rounds; empty without labels."""
    shares = [row["label_precision_by_level"].get(level) for row in rounds]
    known = [share for share in shares if share is not None]
    return f"{min(known):.3f}" if known else ""


def opened(cells: list[Row]) -> str:
    """The table of all levels from the highest that was open at first, in any run."""
    lowest = min(cell["rounds"][0]["levels"] for cell in cells)
    lines = []
    for cell in cells:
        lines += [LINE.format(**found) for found in openings(cell, lowest)]
    return table(TITLES, lines)
