"""Arms side by side: what each learned, paired with the failure arm on the same questions, and what it paid."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .checkpoint import has_base, read_json, read_rows, read_settings, write, write_json
from .config import Config
from .evaluate import mcnemar
from .report import comparison, draw, table
from .runtime import UserError

Row = dict[str, Any]

def bootstrap(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % percentile interval of the mean of (seeds, questions): seeds are drawn anew, then questions within each (Davison and Hinkley 1997, 3.8)."""
    rng, (seeds, n) = np.random.default_rng(0), values.shape
    means = [np.mean([values[s, rng.integers(n, size=n)].mean() for s in rng.integers(seeds, size=seeds)]) for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)

def same_budget(arm: str, rows: Sequence[Row], first: Sequence[Row]) -> None:
    """Raise UserError that names the difference where two arms did not get the same steps and corrections in each round."""
    for row, other in zip(rows, first, strict=True):
        for name in ("steps", "batch", "corrections") if arm not in ("static", "fresh") else ():
            if row[name] != other[name]:
                raise UserError(f"round {row['round']}: {name} {row[name]} in {arm}, {other[name]} in failure; delete both runs and compare again")

def price(rows: Sequence[Row], accuracy: float) -> int:
    """Corrections when the test accuracy first reached a level; -1 where it never did."""
    return next((row["corrections"] for row in rows if row["test_accuracy"] >= accuracy), -1)

def forgotten(rows: Sequence[Row], levels: int) -> float:
    """Forgetting: accuracy lost since the base on those cells, family by level, that got worse; the mean over all cells that the base was taught."""
    cells = {name: value for name, value in rows[0]["by_cell"].items() if int(name.split("/")[1]) <= levels}
    return float(np.mean([max(0.0, value - rows[-1]["by_cell"][name]) for name, value in cells.items()]))

def cell(folder: Path, first: Path) -> tuple[Row, np.ndarray, np.ndarray]:
    """One arm with one seed: its figures; which answers were right at its end, and at the end of `first`, each (questions,)."""
    rows, levels = read_rows(folder / "metrics.jsonl"), read_json(folder / "config.json")["base_levels"]
    same_budget(rows[0]["arm"], rows, read_rows(first / "metrics.jsonl"))
    ours, theirs = (np.array([c == "1" for c in read_rows(f / "answers.jsonl")[-1]["right"]], float) for f in (folder, first))
    known = [float(np.mean([value for level, value in row["by_level"].items() if int(level) <= levels])) for row in (rows[0], rows[-1])]
    figures = {name: rows[-1][name] for name in ("arm", "seed", "corrections", "test_accuracy", "test_low", "test_high", "test_n")}
    figures |= {name: sum(row[name] for row in rows) for name in ("train_tokens", "generated_tokens", "seconds", "fixed", "broken")}
    figures |= {"base": rows[0]["test_accuracy"], "known_before": known[0], "known_after": known[1], "forgotten": forgotten(rows, levels)}
    figures |= {"mcnemar": mcnemar(int((ours > theirs).sum()), int((ours < theirs).sum())), "price": price(rows, 0.9)}
    figures |= {"curve": [[row["corrections"], row["test_accuracy"]] for row in rows], **{name: [row[name] for row in rows] for name in ("auroc", "ece")}}
    return figures, ours, theirs

def summarise(folder: Path, arms: Sequence[str], seeds: Sequence[int]) -> Row:
    """All cells, and for each arm the means over seeds with its paired difference to failure, in shares."""
    found: Row = {"seeds": list(seeds), "arms": [], "cells": []}
    for arm in arms:
        figures, ours, theirs = zip(*(cell(folder / f"{arm}-{seed}", folder / f"failure-{seed}") for seed in seeds))
        means = {name: float(np.mean([f[name] for f in figures])) for name, value in figures[0].items() if isinstance(value, (int, float)) and name not in ("seed", "price")}
        low, high = bootstrap(np.stack(ours))
        behind = bootstrap(np.stack(ours) - np.stack(theirs))
        apart = {"to_failure": float(np.mean(ours) - np.mean(theirs)), "to_failure_low": behind[0], "to_failure_high": behind[1]}
        found["arms"].append({**means, "arm": arm, "n": sum(map(len, ours)), "low": low, "high": high, **apart})
        found["cells"] += figures
    return found

def markdown(found: Row) -> str:
    """The tables of compare.md and of the README: the arms, means over seeds, and beneath them each run."""
    def accuracy(x: Row, low: str, high: str) -> str:
        return f"**{x['test_accuracy']:.3f}** ({x[low]:.3f}-{x[high]:.3f})"
    def points(a: Row) -> str:
        return f"{100 * a['to_failure']:+.1f} ({100 * a['to_failure_low']:+.1f} to {100 * a['to_failure_high']:+.1f})" if a["arm"] != "failure" else ""
    arms = [
        [a["arm"], f"{a['n']:,}", f"{a['base']:.3f}", accuracy(a, "low", "high"), points(a), f"{a['known_before']:.3f} -> {a['known_after']:.3f}", f"{100 * a['forgotten']:.2f}",
         f"{a['fixed']:.0f}", f"{a['broken']:.0f}", f"{a['corrections']:,.0f}", f"{a['train_tokens'] / 1e6:.2f} M", f"{a['generated_tokens'] / 1e6:.2f} M", f"{a['seconds']:.0f}"]
        for a in found["arms"]
    ]  # fmt: skip
    runs = [
        [c["arm"], c["seed"], f"{c['base']:.3f}", accuracy(c, "test_low", "test_high"), f"{c['mcnemar']:.1g}" if c["arm"] != "failure" else "", f"{c['corrections']:,}",
         f"{c['price']:,}" if c["price"] >= 0 else "never", f"{min(c['auroc']):.3f}-{max(c['auroc']):.3f}", f"{max(c['ece']):.3f}", f"{c['seconds']:.0f}"]
        for c in found["cells"]
    ]  # fmt: skip
    first = table("arm, n, base, after (95 % interval), points to failure, levels of the base, forgotten, fixed, broken, corrections, trained tokens, generated, seconds", arms)
    return first + "\n\n" + table("arm, seed, base, after (95 % interval), McNemar's p, corrections, to reach 90 %, AUROC, highest ECE, seconds", runs)

def arms(config: Config, play: Callable[[Config, Sequence[int]], Any]) -> None:
    """Play each arm with each seed, failure first, and write compare.json, compare.md and compare.png; finished runs are kept."""
    folder, seeds = Path(config.out), list(dict.fromkeys(map(int, config.seeds.split(","))))
    named = list(dict.fromkeys(["failure", *filter(None, config.compare.split(","))]))
    cells = [replace(config, arm=arm, seed=seed, base=f"{folder}/base-{seed}", out=f"{folder}/{arm}-{seed}") for arm in named for seed in seeds]
    missing = [cell for cell in cells if not finished(cell)]
    print(f"{len(cells)} runs in {folder}, {len(missing)} of them to do", file=sys.stderr)
    start = time.time()
    for done, cell in enumerate(missing, 1):
        if (Path(cell.out) / "env.json").exists():  # it was cut short
            shutil.rmtree(cell.out)
        spent = [row["corrections"] for row in read_rows(folder / f"failure-{cell.seed}" / "metrics.jsonl")]
        play(cell, [after - before for before, after in zip(spent, spent[1:])])
        print(f"{done} of {len(missing)} done, {(time.time() - start) / done * (len(missing) - done) / 60:.0f} minutes left", file=sys.stderr)
    found = summarise(folder, named, seeds)
    text = markdown(found)
    write_json(folder / "compare.json", {"command": " ".join(["python", *sys.argv]), **found})
    write(folder / "compare.md", text + "\n")
    draw(folder / "compare.png", partial(comparison, found))
    print(text)

def finished(config: Config) -> bool:
    """Whether a run has come to its end; raises UserError where it or its base was made with other settings."""
    out, base = Path(config.out), Path(config.base)
    if has_base(base):
        read_settings(base, asdict(config))
    if not (out / "report.md").exists():
        return False
    made, free = read_json(out / "config.json"), ("compare", "seeds", "device", "test", "out", "base")
    if changed := [f"{name} {made.get(name)}, not {value}" for name, value in asdict(config).items() if name not in free and made.get(name) != value]:
        raise UserError(f"{out} was made with {'; '.join(changed)}: compare in another --out, or delete that run")
    return True
