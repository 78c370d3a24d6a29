"""What a person sees: the table, the shown failures, report.md.  Prints figures, computes none."""

import shlex
import sys
from collections.abc import Iterable
from dataclasses import asdict

from ..method.memory import Failure, FailureMemory
from ..method.run import Run
from ..run.files import write, write_json
from ..run.runtime import Row, peak_memory, typed
from . import pictures
from .testset import PUBLISHED

Asked = dict[str, list[Row]]  # what each frozen set found of the base, and at the end
TITLES = "round failed unsure corrections AUROC     kept fixed broken accuracy 95 % interval"
ROUND = (
    "{round:5} {failed:6,} {unsure:6,} {corrections:11,} {auroc:5.3f} {what:>8} {fixed:5}"
    " {broken:6} {test_accuracy:8.4f}   {test_low:.3f}-{test_high:.3f} {bar}"
)
WIDTH = 17  # columns of a full bar, which end at the hundredth
BLOCK = """---
base_accuracy: {first[test_accuracy]:.4f}
final_accuracy: {last[test_accuracy]:.4f}
final_low: {last[test_low]:.4f}
final_high: {last[test_high]:.4f}
final_right_steps: {last[test_right_steps]:.4f}
final_wrong_but_sure: {last[test_sure_wrong]:.4f}
test_n: {last[test_n]}
corrections: {last[corrections]}"""
LEARNED = (
    "A failure that was learned: in round {round} the answer to `{question}` was `{said}`, with a"
    " confidence of {confidence:.2f}. The correction was `{completion}`. Asked again, it was right."
)
STRENGTHS = {1.0: "full", 0.5: "half", 0.25: "quarter"}  # of what was learned, as the gate left it
OPENS = (
    "level {0} opens: {coverage_above:.0%} of its dev questions could be marked,"
    " and of level {levels} {mastery:.0%} are right"
)
ROOM = 32  # columns of a shown question
SCORE_TITLES = "score | AUROC | ECE | AURC | precision | recall"
SET_TITLES = (
    "set | n | GPT-3 | base | after (95 % interval) | with right steps | wrong, confidence over 0.9"
)
SET = (
    "| {name} | {n} | {gpt3} | {base[accuracy]:.3f} | **{accuracy:.3f}** ({low:.3f}-{high:.3f})"
    " | {right_steps:.3f} | {sure_wrong:.3f} |"
)
SCORE = "| {} | {auroc:.3f} | {ece:.3f} | {aurc:.3f} | {precision:.3f} | {recall:.3f} |"


def line(row: Row) -> str:
    """A line of the round table: what was kept, and a bar that shows the rise."""
    tried = row["steps"] or row["label_coverage"]
    what = STRENGTHS.get(row["scale"], "rejected" if tried else "")
    failed = row["wrong"] + row["unparsable"]
    bar = "#" * round(WIDTH * row["test_accuracy"])
    return ROUND.format(**row, what=what, failed=failed, bar=bar).rstrip()


def shown(failure: Failure) -> str:
    """A failure in a line: how sure the model was of what it said, and the correction."""
    question = failure.question
    if len(question) > ROOM:
        question = f"{question[: ROOM - 2]}.."
    said = failure.said or failure.wrong_steps
    correction = failure.answer or "not found yet"
    return (
        f"  {failure.kind:10} {failure.confidence:.2f}  {question:{ROOM}}  said {said:14.14}"
        f"  correction {correction:.14}"
    )


def begin(run: Run, facts: Row) -> None:
    """Write down what is run on what; print the table as far as it is."""
    (run.folder / "report.md").unlink(missing_ok=True)
    (run.folder / "adapters").mkdir(exist_ok=True)
    write_json(run.folder / "config.json", asdict(run.config))
    write_json(run.folder / "env.json", facts)
    run.progress.say("\n".join([TITLES, *map(line, run.journal.rows)]))


def show(run: Run) -> None:
    """Print the round that was just played, and some of its failures."""
    row = run.journal.rows[-1]
    run.progress.say(line(row))
    if run.levels > row["levels"]:
        run.progress.say(OPENS.format(run.levels, **row), sys.stderr)
    rows = run.memory.failures.values()
    failures = [f for f in rows if f.round == row["round"] and f.source != "own"]
    some = run.dice("shown").sample(failures, min(run.config.show, len(failures)))
    for failure in some:
        run.progress.say(shown(failure), sys.stderr)


def finish(run: Run, facts: Row, sets: dict[str, Row], leaks: str, seconds: float) -> None:
    """Leave the pictures, sets.json and report.md, and print the final block."""
    rows = run.journal.rows
    base = rows[0]["sets"]
    asked = {name: [base[name], row] for name, row in sets.items() if name in base}
    write_json(run.folder / "sets.json", asked)
    picture = run.folder / "curve.png"
    page = run.folder / "report.md"
    drawn = pictures.draw(picture, pictures.curve, rows)
    if run.config.grow:
        cell = {"arm": run.config.corrector, "rounds": rows}
        pictures.draw(run.folder / "growth.png", pictures.growth, [cell])
    pictures.draw(run.folder / "diagnostics.png", pictures.diagnostics, rows[-1])
    extra = {"leaks": leaks, "seconds": int(seconds), "memory_mib": peak_memory()}
    extra |= {"out": run.folder, "report": page}
    if drawn:
        extra["picture"] = picture
    plugin = ["--plugin", run.config.plugin] if run.config.plugin else []
    extra["next"] = shlex.join(["python", "-m", "minisi", "ask", "--run", str(run.folder), *plugin])
    block = summary(rows, asked, extra)
    write(page, markdown(rows, asked, typed(), facts, block, learned(run.memory)))
    run.progress.say(block)


def learned(memory: FailureMemory) -> str:
    """The first failure that was answered right when asked again; empty where there is none."""
    for failure in memory.corrected():
        if memory.right[failure.id] and failure.said != failure.answer:
            return LEARNED.format(**asdict(failure))
    return ""


def summary(rows: list[Row], sets: Asked, extra: Row) -> str:
    """The final block: `name: value` lines under `---`, made for grep."""
    first = rows[0]
    last = rows[-1]
    lines = [BLOCK.format(first=first, last=last)]
    for kind in ("level", "family"):
        before = first[f"by_{kind}"]
        for name, after in last[f"by_{kind}"].items():
            lines.append(f"{kind}_{name}: {before[name]:.4f} -> {after:.4f}")
    for name, (before, after) in sets.items():
        lines.append(f"{name}: {before['accuracy']:.4f} -> {after['accuracy']:.4f}")
    lines += [f"{name}: {value}" for name, value in extra.items()]
    return "\n".join(lines)


def set_table(sets: Asked) -> str:
    """The frozen sets, with GPT-3's published figures; nothing where there are none."""
    lines = []
    for name, (base, after) in sets.items():
        told = PUBLISHED.get(name)
        gpt3 = f"{told / 100:.3f}" if told else ""
        lines.append(SET.format(name=name, gpt3=gpt3, base=base, **after))
    return table(SET_TITLES, lines) if lines else ""


def table(titles: str, lines: Iterable[str]) -> str:
    """A table in Markdown, from its titles with bars between and its finished lines."""
    rule = "---" + " | ---:" * titles.count("|")
    return "\n".join([f"| {titles} |", f"| {rule} |", *lines])


def score_table(scores: Row) -> str:
    """The detector's confidence and the plain scores beside it."""
    lines = [SCORE.format(name, **measures) for name, measures in scores.items()]
    return table(SCORE_TITLES, lines)


def ledger(rows: list[Row], kind: str) -> str:
    """Test accuracy of each round by `level` or `family`."""
    lines = []
    for row in rows:
        values = [f"{accuracy:.3f}" for accuracy in row[f"by_{kind}"].values()]
        cells = [str(row["round"]), str(row["levels"]), *values]
        lines.append(f"| {' | '.join(cells)} |")
    return table(" | ".join(["round", "open levels", *rows[0][f"by_{kind}"]]), lines)


def markdown(rows: list[Row], sets: Asked, command: str, facts: Row, block: str, story: str) -> str:
    """report.md: the command, the tables, the final block, a failure's story and the machine."""
    rounds = "\n".join([TITLES, *map(line, rows)])
    parts = [
        "# A run of minisi",
        f"    {command}",
        "![accuracy by corrections](curve.png)",
        f"```\n{rounds}\n{block}\n```",
        story,
        ledger(rows, "level"),
        ledger(rows, "family"),
        set_table(sets),
        "The detector in the last round:",
        score_table(rows[-1]["detector"]),
        "![reliability and risk](diagnostics.png)",
        ", ".join(f"{name} {value}" for name, value in facts.items()),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"
