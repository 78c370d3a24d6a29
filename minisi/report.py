"""What a person sees: the table, the shown failures, the curve, report.md.  Prints figures, computes none."""
import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from .checkpoint import write
from .memory import Failure

COLUMNS = dict(  # of the round table, with the format of each
    round="5d", asked="6d", wrong="6d", unsure="6d", unparsable="10d", corrections="11d", relapsed="8d", auroc="6.3f", dev_before="10.3f",
    dev_after="9.3f", scale="5.2f", fixed="5d", broken="6d", p_value="8.1g", test_accuracy="13.4f", test_low="8.4f", test_high="9.4f", seconds="7.1f")  # fmt: skip

def header() -> str:
    """The titles of the round table."""
    return " ".join(name.rjust(int(form[:-1].split(".")[0])) for name, form in COLUMNS.items())

def line(row: dict[str, Any]) -> str:
    """One row of the round table; a round whose adapter was refused says so."""
    return " ".join(format(row[name], form) for name, form in COLUMNS.items()) + ("  rejected" if (row["steps"] or row["label_coverage"]) and not row["kept"] else "")

def shown(failures: Sequence[Failure]) -> str:
    """Real failures, for the eye: the question, what the model said and how sure it was, the truth."""
    form = "    {0.kind}: {0.question}\n      said  {0.wrong_steps}|{0.said}  (confidence {0.confidence:.2f})\n      truth {1}"
    return "\n".join(form.format(f, f.completion or "not found yet") for f in failures)

def summary(rows: Sequence[dict[str, Any]], extra: dict[str, Any]) -> str:
    """The final block: `name: value` lines under `---`, made for grep."""
    first, last = rows[0], rows[-1]
    values = {"base_accuracy": f"{first['test_accuracy']:.4f}", "final_accuracy": f"{last['test_accuracy']:.4f}"}
    values |= {"final_low": f"{last['test_low']:.4f}", "final_high": f"{last['test_high']:.4f}", "test_n": last["test_n"], "corrections": last["corrections"]}
    for kind in ("level", "family"):
        values |= {f"{kind}_{name}": f"{first[f'by_{kind}'][name]:.4f} -> {value:.4f}" for name, value in last[f"by_{kind}"].items()}
    return "\n".join(["---", *(f"{name}: {value}" for name, value in {**values, **extra}.items())])

def table(titles: str, rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown, the first column to the left."""
    lines = [titles.split(", "), ["---", *["---:"] * titles.count(", ")], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)

def ledger(rows: Sequence[dict[str, Any]], kind: str) -> str:
    """Test accuracy of each round by `level` or `family`."""
    names = list(rows[0][f"by_{kind}"])
    return table(", ".join(["round", *names]), [[row["round"], *(f"{row[f'by_{kind}'][name]:.3f}" for name in names)] for row in rows])

def markdown(rows: Sequence[dict[str, Any]], command: str, environment: dict[str, Any], text: str) -> str:
    """report.md: the command, the tables, the final block and the machine."""
    body = table(", ".join(COLUMNS), [[format(row[name], form).strip() for name, form in COLUMNS.items()] for row in rows])
    scores = table("score, AUROC, ECE, AURC, precision, recall", [[name, *(f"{x:.3f}" for x in s.values())] for name, s in rows[-1]["detector"].items()])
    parts = ["# A run of minisi", f"    {command}", body, ledger(rows, "level"), ledger(rows, "family"), "The detector in the last round:", scores,
             "![curve](curve.png)", f"```\n{text}\n```", ", ".join(f"{name} {value}" for name, value in environment.items())]  # fmt: skip
    return "\n\n".join(parts) + "\n"

def finish(folder: Path, rows: Sequence[dict[str, Any]], command: Sequence[str], environment: dict[str, Any], extra: dict[str, Any]) -> None:
    """Leave curve.png and report.md, and print the final block."""
    text = summary(rows, extra)
    if not draw(folder / "curve.png", partial(curve, rows)):
        print(terminal_curve(rows))
    write(folder / "report.md", markdown(rows, " ".join(["python", *command]), environment, text))
    print(text)

def terminal_curve(rows: Sequence[dict[str, Any]], width: int = 50) -> str:
    """The accuracy by round as bars of text, for where matplotlib is missing."""
    bars = (f"{row['round']:5d} {'#' * round(width * row['test_accuracy']):<{width}} {row['test_accuracy']:.4f}" for row in rows)
    return "\n".join(["round accuracy on the test set", *bars])

def draw(path: Path, plot: Callable[[Any], Any]) -> bool:
    """Write what `plot(matplotlib.pyplot)` draws, a figure, as PNG; false where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot
    buffer = io.BytesIO()
    plot(pyplot).savefig(buffer)
    write(path, buffer.getvalue())
    pyplot.close()
    return True

def curve(rows: Sequence[dict[str, Any]], plt: Any) -> Any:
    """curve.png: accuracy by round with its interval, and by level; beside them, how far the last round's detector can be trusted."""
    rounds, accuracy = [row["round"] for row in rows], [row["test_accuracy"] for row in rows]
    figure, ((top, trust), (bottom, risk)) = plt.subplots(2, 2, figsize=(10, 6.5), height_ratios=(3, 2), width_ratios=(2, 1), layout="constrained")
    errors = [[a - row["test_low"] for a, row in zip(accuracy, rows)], [row["test_high"] - a for a, row in zip(accuracy, rows)]]
    top.errorbar(rounds, accuracy, errors, marker="o", capsize=3, label=f"{rows[-1]['arm']} arm, 95 % interval, n = {rows[-1]['test_n']:,}")
    top.axhline(accuracy[0], linestyle="--", color="grey", label="base")
    for row in rows[1:]:
        top.annotate(f"{row['corrections']:,}", (row["round"], row["test_accuracy"]), (0, -16), textcoords="offset points", ha="center", size=8)
    top.set(ylabel="test accuracy", ylim=(0, 1.02), xticks=rounds, title="Learning from failures (small figures: corrections used so far)")
    for level in rows[0]["by_level"]:
        bottom.plot(rounds, [row["by_level"][level] for row in rows], marker=".", label=f"level {level}")
    bottom.set(xlabel="round", ylabel="by level", ylim=(0, 1.02), xticks=rounds)
    bottom.legend(loc="lower right", ncols=2)
    trust.scatter(*zip(*[(sure, right) for n, sure, right in rows[-1]["reliability"] if n]), s=[4 * n**0.5 for n, *_ in rows[-1]["reliability"] if n])
    trust.plot([0, 1], [0, 1], linestyle="--", color="grey", label="as it should be")
    trust.set(xlabel="confidence", ylabel="right", title="Reliability, last round")
    risk.plot([n / 10 for n in range(1, 11)], rows[-1]["risk"], marker=".")
    risk.set(xlabel="share answered, the surest first", ylabel="wrong", ylim=(0, None))
    for axes in (top, trust):
        axes.legend(loc="lower right")
    return figure

def comparison(found: dict[str, Any], plt: Any) -> Any:
    """compare.png: accuracy by corrections used, a line for each arm and seed."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for i, arm in enumerate(found["arms"]):
        for cell in (c for c in found["cells"] if c["arm"] == arm["arm"]):
            axes.plot(*zip(*cell["curve"]), marker=".", color=f"C{i}", label=arm["arm"] if cell["seed"] == found["seeds"][0] else None)
    axes.set(xlabel="corrections used", ylabel="test accuracy", title="What each arm learns from as many corrections, a line for each seed")
    axes.legend(loc="lower right")
    return figure
