"""What a person sees: the table, the shown failures, the curve, report.md.  Prints figures, computes none."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .checkpoint import write
from .memory import Failure

COLUMNS = (  # title, format of one row
    ("round", "{round:5d}"),
    ("asked", "{asked:6d}"),
    ("wrong", "{wrong:6d}"),
    ("unsure", "{unsure:6d}"),
    ("unparsable", "{unparsable:10d}"),
    ("corrections", "{corrections:11d}"),
    ("relapsed", "{relapsed:8d}"),
    ("auroc", "{auroc:6.3f}"),
    ("dev before", "{dev_before:10.3f}"),
    ("after", "{dev_after:6.3f}"),
    ("scale", "{scale:5.2f}"),
    ("fixed", "{fixed:5d}"),
    ("broken", "{broken:6d}"),
    ("test", "{test_accuracy:6.4f}"),
    ("95 % interval", "{test_low:.4f}-{test_high:.4f}"),
    ("seconds", "{seconds:7.1f}"),
)


def header() -> str:
    """The titles of the round table."""
    return " ".join(title.rjust(len(form.format_map(Zeros()))) for title, form in COLUMNS)


class Zeros(dict):
    """Zero for every key: gives a format its width."""

    def __missing__(self, key: str) -> int:
        return 0


def line(row: dict[str, Any]) -> str:
    """One row of the round table; a round whose adapter was refused says so."""
    text = " ".join(form.format_map(row).rjust(len(title)) for title, form in COLUMNS)
    return text + ("  rejected" if row["steps"] and not row["kept"] else "")


def shown(failures: Sequence[Failure]) -> str:
    """Real failures, for the eye: the question, what the model said and how sure it was, the truth."""
    return "\n".join(
        f"    {f.kind}: {f.question}\n      said  {f.wrong_steps}|{f.said}  (confidence {f.confidence:.2f})\n"
        f"      truth {f.completion or 'not found yet'}"
        for f in failures
    )


def summary(rows: Sequence[dict[str, Any]], extra: dict[str, Any]) -> str:
    """The final block: `name: value` lines under `---`, made for grep."""
    first, last = rows[0], rows[-1]
    values = {
        "base_accuracy": f"{first['test_accuracy']:.4f}",
        "final_accuracy": f"{last['test_accuracy']:.4f}",
        "final_low": f"{last['test_low']:.4f}",
        "final_high": f"{last['test_high']:.4f}",
        "test_n": last["test_n"],
        "corrections": last["corrections"],
        **{f"level_{level}": f"{first['by_level'][level]:.4f} -> {value:.4f}" for level, value in last["by_level"].items()},
        **{f"family_{name}": f"{first['by_family'][name]:.4f} -> {value:.4f}" for name, value in last["by_family"].items()},
        **extra,
    }
    return "\n".join(["---", *(f"{name}: {value}" for name, value in values.items())])


def markdown(rows: Sequence[dict[str, Any]], command: str, environment: dict[str, Any], text: str) -> str:
    """report.md: the command, the table, the final block and the machine."""
    titles = [title for title, _ in COLUMNS]
    body = ["| " + " | ".join(titles) + " |", "|" + "---:|" * len(titles)]
    body += ["| " + " | ".join(form.format_map(row).strip() for _, form in COLUMNS) + " |" for row in rows]
    machine = ", ".join(f"{name} {value}" for name, value in environment.items())
    return "\n".join(["# A run of minisi", "", f"    {command}", "", *body, "", "![curve](curve.png)", "", "```", text, "```", "", machine, ""])


def terminal_curve(rows: Sequence[dict[str, Any]], width: int = 50) -> str:
    """The accuracy by round as bars of text, for where matplotlib is missing."""
    bars = (f"{row['round']:5d} {'#' * round(width * row['test_accuracy']):<{width}} {row['test_accuracy']:.4f}" for row in rows)
    return "\n".join(["round accuracy on the test set", *bars])


def curve(rows: Sequence[dict[str, Any]], path: Path) -> bool:
    """Draw curve.png: accuracy by round with its interval above, by level beneath; false where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rounds = [row["round"] for row in rows]
    accuracy = [row["test_accuracy"] for row in rows]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 6.5), sharex=True, height_ratios=(3, 2), layout="constrained")
    errors = [[a - row["test_low"] for a, row in zip(accuracy, rows)], [row["test_high"] - a for a, row in zip(accuracy, rows)]]
    top.errorbar(rounds, accuracy, errors, marker="o", capsize=3, label=f"{rows[-1]['arm']} arm, 95 % interval, n = {rows[-1]['test_n']:,}")
    top.axhline(accuracy[0], linestyle="--", color="grey", label="base")
    for row in rows[1:]:
        top.annotate(f"{row['corrections']:,}", (row["round"], row["test_accuracy"]), (0, -16), textcoords="offset points", ha="center", size=8)
    top.set(ylabel="test accuracy", ylim=(0, 1.02), title="Learning from failures (small figures: corrections used so far)")
    top.legend(loc="lower right")
    for level in rows[0]["by_level"]:
        bottom.plot(rounds, [row["by_level"][level] for row in rows], marker=".", label=f"level {level}")
    bottom.set(xlabel="round", ylabel="by level", ylim=(0, 1.02), xticks=rounds)
    bottom.legend(loc="lower right", ncols=2)
    buffer = io.BytesIO()
    figure.savefig(buffer)
    write(path, buffer.getvalue())
    plt.close(figure)
    return True
