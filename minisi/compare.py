"""Arms side by side: what each learned, paired with the failure arm on the same questions, and what it paid."""
import sys, time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any
import numpy as np
from .checkpoint import RUN_SETTINGS, read_rows, read_state, settings, write, write_json
from .config import CORRECTORS, Config
from .evaluate import mcnemar
from .report import comparison, draw, table
from .runtime import UserError

Row = dict[str, Any]
SAME_BUDGET = ("failure", "random", "corrupt", "full", "norepl")  # arms with as many steps and corrections in each round as `failure`

def bootstrap(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % percentile interval of the mean of (seeds, questions): seeds are drawn anew, then questions within each (Davison and Hinkley 1997, 3.8)."""
    rng, (seeds, n) = np.random.default_rng(0), values.shape
    means = [np.mean([values[s, rng.integers(n, size=n)].mean() for s in rng.integers(seeds, size=seeds)]) for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)

def same_budget(arm: str, rows: Sequence[Row], first: Sequence[Row]) -> None:
    """Raise UserError that names the difference where two arms did not get the same steps and corrections in each round."""
    for row, other in zip(rows, first, strict=True):
        for name in ("steps", "batch", "corrections") if arm in SAME_BUDGET else ():
            if row[name] != other[name]:
                raise UserError(f"round {row['round']}: {name} {row[name]} in {arm}, {other[name]} in failure; delete both runs and compare again")

def forgotten(rows: Sequence[Row], levels: int) -> float:
    """Forgetting: accuracy lost since the base on those cells, family by level, that got worse; the mean over all cells that the base was taught."""
    cells = {name: value for name, value in rows[0]["by_cell"].items() if int(name.split("/")[1]) <= levels}
    return float(np.mean([max(0.0, value - rows[-1]["by_cell"][name]) for name, value in cells.items()]))

def cell(folder: Path, first: Path) -> tuple[Row, np.ndarray, np.ndarray]:
    """One arm with one seed: its figures; which answers were right at its end, and at the end of `first`, each (questions,)."""
    rows, levels, arm = read_rows(folder / "metrics.jsonl"), read_state(folder).facts["config"]["base_levels"], folder.name.split("-")[0]
    same_budget(arm, rows, read_rows(first / "metrics.jsonl"))
    ours, theirs = (np.array([c == "1" for c in read_rows(f / "answers.jsonl")[-1]["right"]], float) for f in (folder, first))
    known = [float(np.mean([value for level, value in row["by_level"].items() if int(level) <= levels])) for row in (rows[0], rows[-1])]
    figures = {name: rows[-1][name] for name in ("seed", "corrections", "test_accuracy", "test_low", "test_high", "test_n")}
    figures |= {"arm": arm} | {name: sum(row[name] for row in rows) for name in ("train_tokens", "generated_tokens", "seconds", "fixed", "broken")}
    figures |= {"base": rows[0]["test_accuracy"], "known_before": known[0], "known_after": known[1], "forgotten": forgotten(rows, levels)}
    figures |= {"mcnemar": mcnemar(int((ours > theirs).sum()), int((ours < theirs).sum())), "price": next((row["corrections"] for row in rows if row["test_accuracy"] >= 0.9), -1)}
    figures |= {"curve": [[row["corrections"], row["test_accuracy"]] for row in rows], "scores": {}}
    figures |= {name: [row[name] for row in rows[1:]] for name in ("auroc", "ece", "label_coverage", "label_precision")}  # round 1 measures the base, too
    for name, kinds in rows[0]["detector"].items():
        figures["scores"][name] = {kind: float(np.mean([row["detector"][name][kind] for row in rows[1:]])) for kind in kinds}
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
        found["arms"].append({**means, "arm": arm, "n": sum(map(len, ours)), "test_low": low, "test_high": high, **apart})
        found["cells"] += figures
    return found

AFTER = {"base": "{base:.3f}", "after (95 % interval)": "**{test_accuracy:.3f}** ({test_low:.3f}-{test_high:.3f})"}
KNOWN = {"levels of the base": "{known_before:.3f} -> {known_after:.3f}"}
ARM = {"arm": "{arm}", "n": "{n:,}", **AFTER, "points to failure": "{points}", **KNOWN, "forgotten": "{forgotten:.2f}", "fixed": "{fixed:.0f}", "broken": "{broken:.0f}"}
ARM |= {"corrections": "{corrections:,.0f}", "trained tokens": "{train_tokens:,.0f}", "generated": "{generated_tokens:,.0f}", "seconds": "{seconds:.0f}"}
RUN = {"arm": "{arm}", "seed": "{seed}", **AFTER, "McNemar's p": "{p}", "corrections": "{corrections:,}", "to reach 90 %": "{price}", **KNOWN}
RUN |= {"lowest AUROC": "{auroc:.3f}", "highest ECE": "{ece:.3f}", "labelled": "{coverage}", "labels right": "{precision}", "seconds": "{seconds:.0f}"}

def markdown(found: Row) -> str:
    """The tables of compare.md and of the README: the arms, means over seeds; each run; the detector's scores in the runs of `failure`."""
    arms, runs, plain = [], [], [c["scores"] for c in found["cells"] if c["arm"] == "failure"]
    for a in found["arms"]:
        low, mean, high = (100 * a[name] for name in ("to_failure_low", "to_failure", "to_failure_high"))
        points = "" if a["arm"] == "failure" else f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
        arms.append({**a, "points": points, "forgotten": 100 * a["forgotten"]})
    for c in found["cells"]:
        price, p = f"{c['price']:,}" if c["price"] >= 0 else "never", "" if c["arm"] == "failure" else f"{c['mcnemar']:.1g}"
        labels = {name: f"{min(c[f'label_{name}'], default=0):.2f}-{max(c[f'label_{name}'], default=0):.2f}" for name in ("coverage", "precision")}
        runs.append({**c, **labels, "p": p, "price": price, "auroc": min(c["auroc"]), "ece": max(c["ece"])})
    tables = [table(", ".join(columns), [[form.format_map(row) for form in columns.values()] for row in rows]) for columns, rows in ((ARM, arms), (RUN, runs))]
    scores = [[name, *(f"{np.mean([s[name][kind] for s in plain]):.3f}" for kind in kinds)] for name, kinds in plain[0].items()]
    return "\n\n".join([*tables, table("score of `failure`, AUROC, ECE, AURC, precision, recall", scores)])

def arms(config: Config, play: Callable[[Config, Sequence[int]], Any]) -> None:
    """Play each arm with each seed, failure first, and write compare.json, compare.md and compare.png; finished runs are kept."""
    folder, seeds = Path(config.out), list(dict.fromkeys(map(int, config.seeds.split(","))))
    named = list(dict.fromkeys(["failure", *filter(None, config.compare.split(","))]))
    who = lambda arm: dict(arm="failure", corrector=arm) if arm in CORRECTORS else dict(arm=arm)  # noqa: E731
    cells = [replace(config, seed=seed, base=f"{folder}/base-{seed}", out=f"{folder}/{arm}-{seed}", **who(arm)) for arm in named for seed in seeds]
    for cell in cells:  # refuse other settings before the first run starts
        settings(Path(cell.base), asdict(cell))
        settings(Path(cell.out), asdict(cell), [*RUN_SETTINGS, "rounds"], run=True)
    missing = [c for c in cells if not ((state := read_state(Path(c.out))) and state.number == c.rounds and (Path(c.out) / "report.md").exists())]
    print(f"{len(cells)} runs in {folder}, {len(missing)} of them to do", file=sys.stderr)
    start = time.time()
    for done, cell in enumerate(missing, 1):
        bound = cell.arm in SAME_BUDGET and cell.corrector == config.corrector
        spent = [row["corrections"] for row in read_rows(folder / f"failure-{cell.seed}" / "metrics.jsonl") if bound]
        play(cell, [after - before for before, after in zip(spent, spent[1:])])
        print(f"{done} of {len(missing)} done, {(time.time() - start) / done * (len(missing) - done) / 60:.0f} minutes left", file=sys.stderr)
    found = summarise(folder, named, seeds)
    write_json(folder / "compare.json", {"command": " ".join(["python", *sys.argv]), **found})
    write(folder / "compare.md", (text := markdown(found)) + "\n")
    draw(folder / "compare.png", partial(comparison, found))
    print(text)
