"""RESULTS.md: the tables of a comparison.  It formats figures, and computes none."""

from ..run.runtime import Row
from .growth import opened
from .pictures import BESIDE
from .report import score_table, table

EACH = ("auroc", "ece", "label_coverage", "label_precision")  # of a cell, after each round
LEVELS = ("levels_before", "levels_after")  # accuracy by level
PAGE = """# Arms compared

    {command}

![{picture}]({picture}.png)

{arms}

Each row is the mean over its seeds, the first of these: {seeds}.  Where arms have other seeds,
their points can be compared, and their means can't.  All are asked the same n questions.  The 95 %
intervals are for other questions, and for other seeds where there are several, if those scatter
normally; differences are paired by question and seed.  *Levels of the base* is the accuracy on the
levels that the base was taught, before and after.  *Forgotten*: of each cell of family and level
that the base was taught what it lost, or 0 where it gained, in points, the mean over all of them;
noise counts as loss.

{prices}

What learning took, in all rounds.  *Corrections* of `self` are questions that it looked for a
correction of, and of `vote` those that it flagged: both get none from outside.  *Verdicts* are
answers that the key called right or wrong.  *Of failures* is the share of the corrected
questions whose answer had been wrong.  *Tokens an answer* are those that answering a test
question takes.

{levels}

Accuracy by level, of the base and at the end.{parts}{growth}{sets}

{cells}

McNemar's p, exact, is of one run against `failure` with its seed.  *To reach 90 %* is the number
of corrections when the test accuracy first stood there.  AUROC and ECE are of the rounds after the
base, on each round's new questions, which had no part in the fit.  *Labelled* and *labels right*
are the lowest and highest share of the rounds.

{scores}

The detector in the runs of `failure`, the mean over rounds and seeds.
"""
PARTS = """  `parts` learns as `failure`
does, and its test questions are answered by parts, where three of four ways agree, or else at once:
its base is what that can do without any learning."""
GROWTH = """

{}

Each level that opened; those with a dash were open from the start.  *Could be marked*: so many of
its fresh dev questions, of those that no lower level asks.  *A round later* is the accuracy on the
frozen test set after the first round that asked it.  *Labels* are the corrections that were found
for the level, in all rounds.  *Right* is the share of them that end in the key, and *in the worst
round* the lowest such share of a round.  Where nothing stands there were none, or they were not
counted yet.  Levels above the last are closed: what they gain comes for free.  The picture
has the first {} arms, of the first seed."""
SETS = """

{}

The frozen sets beside the test set, each arm on its own seeds, and the base on those of `failure`.
*Wrong but sure* is the share that `failure` has wrong with a confidence over 0.9."""
SHORT = "{arm:10} {seeds} {test_accuracy:.3f} ({test_low:.3f}-{test_high:.3f}) {points}"
ARM_TITLES = (
    "arm | seeds | n | base | after (95 % interval) | with right steps | points to `failure`"
    " | levels of the base | forgotten"
)
ARM = (
    "| {arm} | {seeds} | {n:,} | {base:.3f}"
    " | **{test_accuracy:.3f}** ({test_low:.3f}-{test_high:.3f})"
    " | {test_right_steps:.3f} | {points} | {known} | {lost} |"
)
PRICE_TITLES = (
    "arm | corrections | of failures | verdicts | trained tokens | generated | tokens an answer"
    " | seconds"
)
PRICE = (
    "| {arm} | {corrections:,.0f} | {share} | {verdicts:,.0f} | {train_tokens:,.0f}"
    " | {generated_tokens:,.0f} | {test_tokens:.0f} | {seconds:.0f} |"
)
CELL_TITLES = (
    "arm | seed | base | after (95 % interval) | McNemar's p | corrections | to reach 90 %"
    " | levels of the base | lowest AUROC | highest ECE | labelled | labels right"
)
CELL = (
    "| {arm} | {seed} | {base:.3f} | **{test_accuracy:.3f}** ({test_low:.3f}-{test_high:.3f})"
    " | {p} | {corrections:,} | {reached} | {known}"
    " | {auroc[0]:.3f} | {ece[1]:.3f} | {label_coverage[0]:.2f}-{label_coverage[1]:.2f}"
    " | {label_precision[0]:.2f}-{label_precision[1]:.2f} |"
)


def line(arm: Row) -> str:
    """An arm in a line."""
    return SHORT.format(**arm, points=points(arm))


def points(arm: Row) -> str:
    """How many points an arm is from `failure`, with the interval."""
    if arm["arm"] == "failure":
        return ""
    ends = (100 * arm[f"to_failure{end}"] for end in ("", "_low", "_high"))
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*ends)


def known(row: Row) -> str:
    """Accuracy on the levels of the base, before and after; empty where no question is of them."""
    if row["known_before"] is None:
        return ""
    return "{known_before:.3f} -> {known_after:.3f}".format(**row)


def arm_line(arm: Row) -> str:
    """An arm in the first table."""
    lost = "" if arm["forgotten"] is None else f"{100 * arm['forgotten']:.2f}"
    return ARM.format(**arm, points=points(arm), known=known(arm), lost=lost)


def price_line(arm: Row) -> str:
    """An arm in the table of prices."""
    share = "" if arm["failures"] is None else f"{arm['failures']:.2f}"
    return PRICE.format(**arm, share=share)


def level_line(arm: Row) -> str:
    """An arm in the table of levels."""
    pairs = zip(*(arm[name].values() for name in LEVELS), strict=True)
    cells = [f"{before:.3f} -> {after:.3f}" for before, after in pairs]
    return f"| {arm['arm']} | {' | '.join(cells)} |"


def sets_of_arms(arms: list[Row]) -> str:
    """The frozen sets that all arms were asked beside the test set; empty where there are none."""
    asked = [arm.get("sets", {}) for arm in arms]  # comparisons of before have none
    lines = []
    for name, first in asked[0].items():
        if all(name in sets for sets in asked):
            after = [f"{sets[name]['after']:.3f}" for sets in asked]
            before = f"{first['n']:.0f} | {first['base']:.3f}"
            lines.append(f"| {name} | {before} | {' | '.join(after)} | {first['sure_wrong']:.3f} |")
    names = [arm["arm"] for arm in arms]
    titles = " | ".join(["set", "n", "base", *names, "wrong but sure"])
    return SETS.format(table(titles, lines)) if lines else ""


def cell_line(one: Row) -> str:
    """A cell in the second table."""
    ends = {name: (min(one[name]), max(one[name])) for name in EACH}
    p = "" if one["arm"] == "failure" else f"{one['mcnemar']:.1g}"
    reached = f"{one['price']:,}" if one["price"] >= 0 else "never"
    return CELL.format(**{**one, **ends}, p=p, reached=reached, known=known(one))


def results(found: Row) -> str:
    """RESULTS.md: the command, the arms, their prices and levels, the cells, the scores."""
    arms = found["arms"]
    cells = found["cells"]
    levels = " | ".join(f"level {level}" for level in arms[0]["levels_after"])
    return PAGE.format(
        command=found["command"],
        seeds=", ".join(map(str, found["seeds"])),
        parts=PARTS if "parts" in [arm["arm"] for arm in arms] else "",
        arms=table(ARM_TITLES, map(arm_line, arms)),
        prices=table(PRICE_TITLES, map(price_line, arms)),
        levels=table(f"arm | {levels}", map(level_line, arms)),
        growth=GROWTH.format(opened(cells), min(BESIDE, len(arms))) if found["grow"] else "",
        sets=sets_of_arms(arms),
        picture="growth" if found["grow"] else "compare",
        cells=table(CELL_TITLES, map(cell_line, cells)),
        scores=score_table(found["scores"]),
    )
