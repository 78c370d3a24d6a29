"""Arms side by side: what each learned, paired with `failure` on the same questions, and its price.

A cell is one arm with one seed.  The cells of a seed share their base, and get as many corrections
in each round as `failure` got, unless they correct nothing, have another corrector, or grow.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ..method.memory import FailureMemory
from ..method.teacher import TEACHERS
from ..model.tokenizer import Codec
from ..run import checkpoint
from ..run.config import Config, configure
from ..run.files import read_rows, write, write_json
from ..run.journal import is_over
from ..run.runtime import WORLD, Row, UserError, typed
from ..tasks.families import vocabulary_words
from ..tasks.problems import check
from . import growth, pictures
from .jobs import Play, side_by_side
from .results import EACH, LEVELS, line, results
from .statistics import interval, mcnemar, wilson

OWN = ("arm", "seed", "base")  # options that a comparison sets itself
GOAL = 0.9  # the accuracy whose price is told
LAST = (
    "corrections",
    "test_accuracy",
    "test_low",
    "test_high",
    "test_n",
    "test_right_steps",
    "test_tokens",
)
SUMMED = ("verdicts", "train_tokens", "generated_tokens", "seconds", "fixed", "broken")
MEANT = (*LAST, *SUMMED, "base", "failures", "known_before", "known_after", "forgotten", "mcnemar")


def main(given: Row, play: Play) -> None:
    """The comparison that was asked for on the command line."""
    if WORLD > 1:
        raise UserError("the runs of a comparison go side by side with --jobs, not with torchrun")
    clash = [f"--{name}" for name in OWN if name in given]
    if clash:
        raise UserError(
            f"a comparison has arms, seeds and bases of its own: leave out {' and '.join(clash)}"
        )
    folder = "runs/compare-grow" if given.get("grow") else "runs/compare"
    compare(configure({"out": folder, **given}), play)


def compare(config: Config, play: Play) -> None:
    """Play each arm with each seed, `failure` first; finished cells are kept.

    Leaves compare.json, compare.png and RESULTS.md, and prints a line for each arm.
    """
    command = typed()
    folder = Path(config.out)
    arms = seeds_of(config)
    cells = [cell(config, arm, seed) for arm, seeds in arms.items() for seed in seeds]
    vocabulary = Codec(vocabulary_words()).checksum
    missing = [one for one in cells if not is_done(one, vocabulary)]
    print(f"{len(cells)} runs in {folder}, {len(missing)} of them to do", file=sys.stderr)
    if config.jobs > 1:
        print(f"each says what it does in {folder}/*/log.txt", file=sys.stderr)
    begun = time.monotonic()
    for done, _ in enumerate(played(missing, config, play), 1):
        left = (time.monotonic() - begun) / done * (len(missing) - done)
        print(f"{done} of {len(missing)} done, {left / 60:.0f} minutes left", file=sys.stderr)

    found = {"command": command, "grow": config.grow, **summarise(folder, arms)}
    write_json(folder / "compare.json", found)
    write(folder / "RESULTS.md", results(found))
    if config.grow:
        first = [one for one in found["cells"] if one["seed"] == found["seeds"][0]]
        pictures.draw(folder / "growth.png", pictures.growth, first)
    else:
        pictures.draw(folder / "compare.png", pictures.comparison, found)
    for arm in found["arms"]:
        print(line(arm))
    print(f"all tables: {folder / 'RESULTS.md'}")


def seeds_of(config: Config) -> dict[str, list[int]]:
    """The seeds of each arm: all for `failure`, the first three for `restart:3`."""
    seeds = list(dict.fromkeys(map(int, config.seeds.split(","))))
    arms = {"failure": seeds}
    for named in filter(None, config.compare.split(",")):
        arm, _, count = named.partition(":")
        number = int(count or len(seeds))
        if not 0 < number <= len(seeds):
            raise UserError(f"--compare {named}: take 1 to {len(seeds)}, or give more --seeds")
        own = arms.setdefault(arm, seeds[:number])
        if len(own) != number:
            raise UserError(f"--compare {named}: {arm} has {len(own)} seeds already")
    return arms


def played(missing: list[Config], config: Config, play: Play) -> Iterator[Config]:
    """Play the cells, `--jobs` of them side by side, and yield each when it is done."""
    if config.jobs == 1:
        for one in missing:
            play(one, budget(one, config))
            yield one
        return
    # What others have in common comes first: the bases, and what `failure` got.
    first = [one for one in missing if one.out == folder_of(config.out, "failure", one.seed)]
    rest = [one for one in missing if one not in first]
    for cells in (first, rest):
        tasks = [(one, budget(one, config)) for one in cells]
        yield from side_by_side(tasks, config.jobs, play)


def folder_of(folder: str | Path, arm: str, seed: int) -> str:
    """Where the cell of an arm and a seed is."""
    return f"{folder}/{arm}-{seed}"


def cell(config: Config, arm: str, seed: int) -> Config:
    """The settings of one cell; a corrector counts as an arm, `failure` with that corrector."""
    name = "corrector" if arm in TEACHERS else "arm"
    return replace(
        config,
        seed=seed,
        base=f"{config.out}/base-{seed}",
        out=folder_of(config.out, arm, seed),
        **{"arm": "failure", name: arm},
    )


def is_done(one: Config, vocabulary: str) -> bool:
    """Whether a cell is finished; UserError where it, or its base, has other settings."""
    base = Path(one.base)
    out = Path(one.out)
    checkpoint.check_settings(base, checkpoint.read_state(base, vocabulary), asdict(one))
    state = checkpoint.read_state(out, vocabulary)
    checkpoint.check_run(out, state, asdict(one), ["rounds", "grow"])
    if not state or not (out / "report.md").exists():
        return False
    rows = read_rows(out / "metrics.jsonl")
    return is_over(one, rows[: state.number + 1])


def budget(one: Config, config: Config) -> list[int] | None:
    """How many corrections each round of a cell gets, as many as `failure` got.

    None where that is its own affair, as in a world that grows.
    """
    first = folder_of(config.out, "failure", one.seed)
    if config.grow or one.out == first or one.corrector != config.corrector:
        return None
    rows = read_rows(Path(first, "metrics.jsonl"))
    return np.diff([row["corrections"] for row in rows]).tolist()


def wrong_before(memory: FailureMemory) -> float | None:
    """The share of what was to be corrected that the key calls wrong, whoever corrected it."""
    rows = memory.failures.values()
    return mean(row.said != row.problem.answer for row in rows if row.source != "own")


def labels(memory: FailureMemory) -> dict[str, list[int]]:
    """Of each level, how many corrections a run stored, and how many of them end in the key."""
    found = {}
    for row in memory.taught():
        got, right = found.get(str(row.level), [0, 0])
        right += check(row.problem.answer, row.completion) == "right"
        found[str(row.level)] = [got + 1, right]
    return found


def last_answers(folder: Path) -> np.ndarray:
    """(questions,) 1 where a run ended with the right answer, else 0."""
    digits = read_rows(folder / "answers.jsonl")[-1]["right"]
    return np.array(list(digits), float)


def taught(values: dict[str, float], levels: int) -> list[float]:
    """Those of the accuracies, by level or by cell, whose level the base was taught."""
    return [x for name, x in values.items() if int(name.split("/")[-1]) <= levels]


def forgotten(before: Row, after: Row, levels: int) -> float | None:
    """Accuracy lost on those cells of family and level that got worse.

    It is the mean over all cells that the base was taught.
    """
    lost = np.subtract(taught(before["by_cell"], levels), taught(after["by_cell"], levels))
    return mean(np.maximum(lost, 0))


def mean(values: Iterable[float | None]) -> float | None:
    """The mean; None, which JSON knows and NaN is not, where there is nothing."""
    values = [value for value in values if value is not None]
    return float(np.mean(values)) if values else None


def figures(folder: Path, arm: str, seed: int) -> Row:
    """What is told of one cell, beside the `failure` cell of its seed."""
    own = Path(folder_of(folder, arm, seed))
    first = Path(folder_of(folder, "failure", seed))
    rows = read_rows(own / "metrics.jsonl")
    memory = FailureMemory(own / "memory.jsonl")
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
    found["known_before"] = mean(taught(before["by_level"], levels))
    found["known_after"] = mean(taught(after["by_level"], levels))
    found |= {name: row["by_level"] for name, row in zip(LEVELS, (before, after), strict=True)}
    found["failures"] = wrong_before(memory)
    found["labels"] = labels(memory)
    found["rounds"] = [{name: row[name] for name in growth.KEPT.split()} for row in rows]
    found["forgotten"] = forgotten(before, after, levels)
    found["mcnemar"] = mcnemar(better.count(1), better.count(-1))
    found["curve"] = [[row["corrections"], row["test_accuracy"]] for row in rows]
    found["sets"] = frozen_sets(own)
    found["scores"] = averages([row["detector"] for row in played])
    return found


def frozen_sets(folder: Path) -> dict[str, Row]:
    """What a run found of each set beside its test set."""
    asked = json.loads((folder / "sets.json").read_text())
    return {
        name: {
            "n": after["n"],
            "base": before["accuracy"],
            "after": after["accuracy"],
            "sure_wrong": after["sure_wrong"],
        }
        for name, (before, after) in asked.items()
    }


def averages(tables: list[Row]) -> Row:
    """The means of the measures of each name that all tables have."""
    found = {}
    for name, measures in tables[0].items():
        if all(name in table for table in tables):
            found[name] = {m: np.mean([table[name][m] for table in tables]) for m in measures}
    return found


def around(right: np.ndarray) -> tuple[float, float]:
    """The interval of an accuracy (seeds, questions), which is never narrower than of one seed."""
    n = right.shape[1]
    least = wilson(round(right.mean() * n), n)
    low, high = interval(right)
    return max(0.0, min(low, least[0])), min(1.0, max(high, least[1]))


def ended(folder: Path, arm: str, seeds: list[int]) -> np.ndarray:
    """(seeds, questions) the last answers of an arm's runs."""
    return np.stack([last_answers(Path(folder_of(folder, arm, seed))) for seed in seeds])


def summarise(folder: Path, arms: dict[str, list[int]]) -> Row:
    """All cells, and for each arm the means over seeds and the paired difference to `failure`."""
    found = {"seeds": arms["failure"], "arms": [], "cells": []}
    for arm, seeds in arms.items():
        cells = [figures(folder, arm, seed) for seed in seeds]
        right = ended(folder, arm, seeds)
        better = right - ended(folder, "failure", seeds)
        row = {name: mean(one[name] for one in cells) for name in MEANT}
        for name in LEVELS:
            row[name] = {level: mean(one[name][level] for one in cells) for level in cells[0][name]}
        row["sets"] = averages([one["sets"] for one in cells])
        row |= {"arm": arm, "seeds": len(seeds), "n": right.shape[1]}
        row["to_failure"] = better.mean()
        row["test_low"], row["test_high"] = around(right)
        row["to_failure_low"], row["to_failure_high"] = interval(better)
        found["arms"].append(row)
        found["cells"] += cells
    of_failure = [one["scores"] for one in found["cells"] if one["arm"] == "failure"]
    found["scores"] = averages(of_failure)
    return found
