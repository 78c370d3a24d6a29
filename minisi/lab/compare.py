"""Arms side by side: what each learned, paired with `failure` on the same questions, and its price.

A cell is one arm with one seed.  The cells of a seed share their base, and those of one budget get
as many corrections and steps in each round as `failure` got.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..method.teacher import TEACHERS
from ..model.tokenizer import Codec
from ..run import checkpoint
from ..run.config import Config, configure
from ..run.files import read_rows, write, write_json
from ..run.runtime import UserError, typed
from ..tasks.families import vocabulary_words
from . import pictures
from .controls import ARMS
from .evaluate import Row
from .report import score_table, table
from .statistics import bootstrap, mcnemar

Play = Callable[[Config, list[int] | None], Any]
SAME = ("steps", "batch", "corrections")  # in each round of arms that have one budget
OWN = ("arm", "seed", "base")  # options that a comparison sets itself
GOAL = 0.9  # the accuracy whose price is told
LAST = ("corrections", "test_accuracy", "test_low", "test_high", "test_n", "test_right_steps")
SUMMED = ("train_tokens", "generated_tokens", "seconds", "fixed", "broken")
EACH = ("auroc", "ece", "label_coverage", "label_precision")  # after each round
MEANT = (*LAST, *SUMMED, "base", "known_before", "known_after", "forgotten", "mcnemar")


def main(given: Row, play: Play) -> None:
    """The comparison that was asked for on the command line."""
    clash = [f"--{name}" for name in OWN if name in given]
    if clash:
        raise UserError(
            f"a comparison has arms, seeds and bases of its own: leave out {' and '.join(clash)}"
        )
    compare(configure({"out": "runs/compare", **given}), play)


def compare(config: Config, play: Play) -> None:
    """Play each arm with each seed, `failure` first; finished cells are kept.

    Leaves compare.json, compare.png and RESULTS.md, and prints a line for each arm.
    """
    folder = Path(config.out)
    seeds = list(dict.fromkeys(map(int, config.seeds.split(","))))
    named = ["failure", *filter(None, config.compare.split(","))]
    arms = list(dict.fromkeys(named))
    cells = [cell(config, arm, seed) for arm in arms for seed in seeds]
    vocabulary = Codec(vocabulary_words()).checksum
    missing = [one for one in cells if not is_done(one, vocabulary)]
    print(f"{len(cells)} runs in {folder}, {len(missing)} of them to do", file=sys.stderr)
    begun = time.monotonic()
    for done, one in enumerate(missing, 1):
        play(one, budget(one, config))
        left = (time.monotonic() - begun) / done * (len(missing) - done)
        print(f"{done} of {len(missing)} done, {left / 60:.0f} minutes left", file=sys.stderr)

    found = {"command": typed(), **summarise(folder, arms, seeds)}
    write_json(folder / "compare.json", found)
    write(folder / "RESULTS.md", results(found))
    pictures.draw(folder / "compare.png", pictures.comparison, found)
    for arm in found["arms"]:
        print(SHORT.format(**arm, points=points(arm)))
    print(f"all tables: {folder / 'RESULTS.md'}")


def cell(config: Config, arm: str, seed: int) -> Config:
    """The settings of one cell; a corrector counts as an arm, `failure` with that corrector."""
    name = "corrector" if arm in TEACHERS else "arm"
    return replace(
        config,
        seed=seed,
        base=f"{config.out}/base-{seed}",
        out=f"{config.out}/{arm}-{seed}",
        **{"arm": "failure", name: arm},
    )


def is_done(one: Config, vocabulary: str) -> bool:
    """Whether a cell is finished; UserError where it, or its base, has other settings."""
    base = Path(one.base)
    out = Path(one.out)
    checkpoint.check_settings(base, checkpoint.read_state(base, vocabulary), asdict(one))
    state = checkpoint.read_state(out, vocabulary)
    checkpoint.check_run(out, state, asdict(one), ["rounds"])
    return bool(state) and state.number == one.rounds and (out / "report.md").exists()


def budget(one: Config, config: Config) -> list[int] | None:
    """How many corrections each round of a cell has; None where that is its own affair."""
    first = f"{config.out}/failure-{one.seed}"
    bound = ARMS[one.arm].same_budget and one.corrector == config.corrector
    if not bound or one.out == first:
        return None
    spent = [row["corrections"] for row in read_rows(Path(first, "metrics.jsonl"))]
    return np.diff(spent).tolist()


def same_budget(arm: str, rows: list[Row], first: list[Row]) -> None:
    """UserError that names the difference where an arm got another budget than `failure`."""
    if arm not in ARMS or not ARMS[arm].same_budget:
        return
    for row, other in zip(rows, first, strict=True):
        for name in SAME:
            if row[name] != other[name]:
                raise UserError(
                    f"round {row['round']}: {name} {row[name]} in {arm}, {other[name]} in failure;"
                    " delete both runs and compare again"
                )


def last_answers(folder: Path) -> np.ndarray:
    """(questions,) 1 where a run ended with the right answer, else 0."""
    digits = read_rows(folder / "answers.jsonl")[-1]["right"]
    return np.array(list(digits), float)


def taught(values: dict[str, float], levels: int) -> list[float]:
    """Those of the accuracies, by level or by cell, whose level the base was taught."""
    return [x for name, x in values.items() if int(name.split("/")[-1]) <= levels]


def forgotten(before: Row, after: Row, levels: int) -> float:
    """Accuracy lost on those cells of family and level that got worse.

    It is the mean over all cells that the base was taught.
    """
    lost = np.subtract(taught(before["by_cell"], levels), taught(after["by_cell"], levels))
    return np.maximum(lost, 0).mean()


def figures(folder: Path, arm: str, seed: int) -> Row:
    """What is told of one cell, beside the `failure` cell of its seed."""
    own = folder / f"{arm}-{seed}"
    first = folder / f"failure-{seed}"
    rows = read_rows(own / "metrics.jsonl")
    same_budget(arm, rows, read_rows(first / "metrics.jsonl"))
    levels = checkpoint.made_with(own)["base_levels"]
    better = (last_answers(own) - last_answers(first)).tolist()
    before = rows[0]
    after = rows[-1]
    played = rows[1:] or rows
    reached = [row["corrections"] for row in rows if row["test_accuracy"] >= GOAL]
    found = {name: after[name] for name in ("seed", *LAST)}
    found |= {name: sum(row[name] for row in rows) for name in SUMMED}
    found |= {name: [row[name] for row in played] for name in EACH}
    found |= {"arm": arm, "base": before["test_accuracy"], "price": [*reached, -1][0]}
    found["known_before"] = np.mean(taught(before["by_level"], levels))
    found["known_after"] = np.mean(taught(after["by_level"], levels))
    found["forgotten"] = forgotten(before, after, levels)
    found["mcnemar"] = mcnemar(better.count(1), better.count(-1))
    found["curve"] = [[row["corrections"], row["test_accuracy"]] for row in rows]
    found["scores"] = averages([row["detector"] for row in played])
    return found


def averages(detectors: list[Row]) -> Row:
    """The means of the scores' measures."""
    found = {}
    for name, measures in detectors[0].items():
        found[name] = {m: np.mean([scores[name][m] for scores in detectors]) for m in measures}
    return found


def summarise(folder: Path, arms: list[str], seeds: list[int]) -> Row:
    """All cells, and for each arm the means over seeds and the paired difference to `failure`."""
    found = {"seeds": seeds, "arms": [], "cells": []}
    reference = np.stack([last_answers(folder / f"failure-{seed}") for seed in seeds])
    for arm in arms:
        cells = [figures(folder, arm, seed) for seed in seeds]
        right = np.stack([last_answers(folder / f"{arm}-{seed}") for seed in seeds])
        better = right - reference
        row = {name: np.mean([one[name] for one in cells]) for name in MEANT}
        row |= {"arm": arm, "n": right.size, "to_failure": better.mean()}
        row["test_low"], row["test_high"] = bootstrap(right)
        row["to_failure_low"], row["to_failure_high"] = bootstrap(better)
        found["arms"].append(row)
        found["cells"] += cells
    return found


PAGE = """# Arms compared

    {command}

![accuracy by corrections](compare.png)

{arms}

{cells}

{scores}

Each row of the first table is the mean over seeds, with 95 % intervals from a
bootstrap over seeds and questions; differences are paired by question.  McNemar's p, exact, is of
one run against `failure` with its seed.  *Levels of the base* is the accuracy on the levels that
the base was taught, before and after.  *Forgotten* is the accuracy lost there, in points, over the
cells of family and level that got worse, so noise counts as loss.  *To reach 90 %* is the number
of corrections when the test accuracy first stood there.  AUROC and ECE are of the rounds after the
base, on each round's new questions, which had no part in the fit.  *Corrections* of `self` are
questions that it looked for a correction of, and of `vote` those that it flagged: both get none
from outside.  *Labelled* and *labels right* are the lowest and highest share of the rounds.  The
last table is of the detector in the runs of `failure`, the mean over rounds and seeds.
"""
SHORT = "{arm:10} {test_accuracy:.3f} ({test_low:.3f}-{test_high:.3f}) {points}"
ARM_TITLES = (
    "arm | n | base | after (95 % interval) | with right steps | points to `failure`"
    " | levels of the base | forgotten | corrections | trained tokens | generated | seconds"
)
ARM = (
    "| {arm} | {n:,} | {base:.3f} | **{test_accuracy:.3f}** ({test_low:.3f}-{test_high:.3f})"
    " | {test_right_steps:.3f} | {points} | {known_before:.3f} -> {known_after:.3f} | {lost:.2f}"
    " | {corrections:,.0f} | {train_tokens:,.0f} | {generated_tokens:,.0f} | {seconds:.0f} |"
)
CELL_TITLES = (
    "arm | seed | base | after (95 % interval) | McNemar's p | corrections | to reach 90 %"
    " | levels of the base | lowest AUROC | highest ECE | labelled | labels right"
)
CELL = (
    "| {arm} | {seed} | {base:.3f} | **{test_accuracy:.3f}** ({test_low:.3f}-{test_high:.3f})"
    " | {p} | {corrections:,} | {reached} | {known_before:.3f} -> {known_after:.3f}"
    " | {auroc[0]:.3f} | {ece[1]:.3f} | {label_coverage[0]:.2f}-{label_coverage[1]:.2f}"
    " | {label_precision[0]:.2f}-{label_precision[1]:.2f} |"
)


def points(arm: Row) -> str:
    """How many points an arm is from `failure`, with the interval."""
    if arm["arm"] == "failure":
        return ""
    ends = (100 * arm[f"to_failure{end}"] for end in ("", "_low", "_high"))
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*ends)


def arm_line(arm: Row) -> str:
    """An arm in the first table."""
    return ARM.format(**arm, points=points(arm), lost=100 * arm["forgotten"])


def cell_line(one: Row) -> str:
    """A cell in the second table."""
    ends = {name: (min(one[name]), max(one[name])) for name in EACH}
    p = "" if one["arm"] == "failure" else f"{one['mcnemar']:.1g}"
    reached = f"{one['price']:,}" if one["price"] >= 0 else "never"
    return CELL.format(**{**one, **ends}, p=p, reached=reached)


def results(found: Row) -> str:
    """RESULTS.md: the command, the arms, the cells, the detector's scores."""
    cells = found["cells"]
    scores = averages([one["scores"] for one in cells if one["arm"] == "failure"])
    return PAGE.format(
        command=found["command"],
        arms=table(ARM_TITLES, map(arm_line, found["arms"])),
        cells=table(CELL_TITLES, map(cell_line, cells)),
        scores=score_table(scores),
    )
