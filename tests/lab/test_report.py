"""What a person sees: the round table, the shown failures, the final block, report.md."""

import json
import re
import sys
from dataclasses import asdict
from random import Random
from types import SimpleNamespace

import pytest

from minisi.lab import report
from minisi.lab.report import TITLES, line, markdown, set_table, shown, summary
from minisi.lab.testset import PUBLISHED
from minisi.method.attempt import Attempt, Verdict
from minisi.method.memory import failure
from minisi.model.generate import Completion
from minisi.run.config import Config
from minisi.run.runtime import typed
from minisi.tasks.families import FAMILIES
from minisi.tasks.problems import solve

WIDTH = 100  # columns of the widest line
MEASURES = {"auroc": 0.9, "ece": 0.02, "aurc": 0.1, "precision": 0.75, "recall": 0.5}
COUNTED = (
    "asked wrong unsure unparsable self_corrected unsolved memory relapsed steps train_tokens"
    " generated_tokens fixed broken"
)


ROUNDS = 4  # the base among them
NAMES = ("2D+", "6D+", "typed")


def figures_of(accuracy):
    """What is told of a frozen set."""
    figures = {"n": 200, "accuracy": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02}
    return {**figures, "right_steps": accuracy - 0.1, "sure_wrong": 0.015}


def row(round, **changed):
    """A row of metrics.jsonl: each round is ten points better than the one before."""
    accuracy = 0.5 + 0.1 * round
    figures = dict.fromkeys(COUNTED.split(), 100 * round)
    figures |= {"round": round, "arm": "failure", "corrector": "solver", "seed": 1}
    figures |= {"corrections": 1234 * round, "seconds": 12.3}
    figures["scale"] = 0.5 if round else 0.0
    figures |= {"test_n": 2048, "test_accuracy": accuracy}
    figures |= {"test_low": accuracy - 0.02, "test_high": accuracy + 0.02}
    figures |= {"test_right_steps": accuracy - 0.1, "test_sure_wrong": 0.03}
    figures["sets"] = {} if round else {name: figures_of(0.55) for name in NAMES}
    figures |= {"dev_before": 0.5, "dev_after": 0.6, "p_value": 0.5}
    figures |= {"label_coverage": float(round > 0), "threshold": 0.7}
    figures |= {"auroc": 0.9, "ece": 0.02, "detector": {"scaled": MEASURES, "product": MEASURES}}
    figures |= {"reliability": [[0, 0.0, 0.0], [40, 0.5, 0.4], [60, 0.9, 1.0]]}
    figures |= {"risk": [n / 40 for n in range(1, 11)]}
    figures |= {"by_family": {"add": accuracy, "sub": 0.5}}
    figures |= {"by_level": {"1": 0.9, "2": accuracy}, "levels": 4}
    figures |= {"mastery": 0.876, "coverage_above": 0.914}
    return {**figures, **changed}


ROWS = [row(n) for n in range(ROUNDS)]
SETS = {name: [figures_of(0.55), figures_of(0.85)] for name in NAMES}
LARGE = dict.fromkeys(["wrong", "unsure", "unparsable", "fixed", "broken"], 49_999)
LARGE |= {"corrections": 9_999_999, "auroc": 1.0, "scale": 0.0}
LARGE |= {"test_accuracy": 1.0, "test_low": 0.998, "test_high": 1.0}


# The round table.


NAMES = re.findall(r"95 % interval|\S+", TITLES)


@pytest.mark.parametrize("r", ROWS, ids=lambda r: f"round {r['round']}")
def test_the_titles_stand_over_their_figures(r):
    titles = {name: TITLES.index(name) + len(name) for name in NAMES}
    if r["round"] == 0:
        del titles["kept"]  # the base learned nothing
    *figures, _ = [match.end() for match in re.finditer(r"\S+", line(r))]  # the bar has no title
    assert figures == list(titles.values())


@pytest.mark.parametrize("r", ROWS, ids=lambda r: f"round {r['round']}")
def test_a_line_tells_the_figures_of_its_round(r):
    *figures, _ = line(r).split()
    wanted = {
        "round": str(r["round"]),
        "failed": str(r["wrong"] + r["unparsable"]),
        "unsure": str(r["unsure"]),
        "corrections": f"{r['corrections']:,}",
        "AUROC": "0.900",
        "kept": "half" if r["round"] else "",
        "fixed": str(r["fixed"]),
        "broken": str(r["broken"]),
        "accuracy": f"{r['test_accuracy']:.4f}",
        "95 % interval": f"{r['test_low']:.3f}-{r['test_high']:.3f}",
    }
    assert list(wanted) == NAMES
    assert figures == [figure for figure in wanted.values() if figure]


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_the_bar_of_a_line_is_as_long_as_its_accuracy(share):
    full = line(row(1, test_accuracy=1)).count("#")
    assert line(row(1, test_accuracy=share)).count("#") == round(share * full)
    assert full > 10


@pytest.mark.parametrize(("scale", "word"), [(1.0, "full"), (0.5, "half"), (0.25, "quarter")])
def test_what_was_kept_is_called_by_its_strength(scale, word):
    text = line(row(1, scale=scale))
    assert word in text
    assert "rejected" not in text


def test_a_refused_adapter_is_called_rejected_and_no_other():
    assert line(row(1, scale=0.0)) == line(row(1)).replace("    half", "rejected")
    its_numbers_were_not_finite_twice = row(1, steps=0, scale=0.0)
    assert "rejected" in line(its_numbers_were_not_finite_twice)
    nothing_was_tried = row(0, steps=0, scale=0.0)
    assert "rejected" not in line(nothing_was_tried)


@pytest.mark.parametrize("r", [*ROWS, row(99_999, **LARGE)], ids=lambda r: f"round {r['round']}")
def test_every_line_of_the_round_table_fits(r):
    assert len(TITLES) <= WIDTH
    assert len(line(r)) <= WIDTH


# Shown failures.


def failed(question, text="nine|9", correction="", kind="wrong", round=1):
    """A failure of this question, which was answered with a text."""
    said = Completion(text, [1], [0.25], True, [0.5])
    verdict = Verdict(kind, 0.25, True)
    return failure(Attempt(solve(question), False, said, verdict, correction, "solver"), round)


def test_a_shown_failure_has_the_question_what_was_said_how_surely_and_the_truth():
    problem = solve("347+586")
    text = shown(failed(problem.question, "nine|9", problem.target))
    assert text.split() == [*("wrong", "0.25", "347+586", "said", "9", "correction", "933")]


def test_a_shown_failure_without_a_correction_says_so():
    assert shown(failed("347+586")).endswith("correction not found yet")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("level", [1, 4, 12])
def test_every_line_of_a_shown_failure_fits(family, level):
    question = FAMILIES[family].ask(Random(level), level)
    for correction in ("", solve(question).target, f"steps|{'9' * 200}"):
        for text in ("", f"steps|{'8' * 200}", "7" * 200):
            told = shown(failed(question, text, correction, "unparsable"))
            assert "\n" not in told
            assert len(told) <= WIDTH


# The final block and report.md.


def test_the_last_block_is_names_and_values():
    first, *lines = summary(ROWS, SETS, {"seconds": 61, "out": "runs/x"}).splitlines()
    assert first == "---"
    values = dict(re.fullmatch(r"(\S+): (\S.*)", text).groups() for text in lines)
    assert len(values) == len(lines)
    assert float(values["base_accuracy"]) == 0.5
    assert float(values["final_accuracy"]) == pytest.approx(0.8)
    assert float(values["final_low"]) == pytest.approx(0.78)
    assert float(values["final_high"]) == pytest.approx(0.82)
    assert float(values["final_right_steps"]) == pytest.approx(0.7)
    assert float(values["final_wrong_but_sure"]) == 0.03
    assert values["test_n"] == "2048"
    assert values["corrections"] == "3702"
    assert values["seconds"] == "61"
    assert values["out"] == "runs/x"
    assert values["level_2"] == values["family_add"] == "0.5000 -> 0.8000"
    assert values["level_1"] == "0.9000 -> 0.9000"
    assert values["family_sub"] == "0.5000 -> 0.5000"
    assert values["2D+"] == values["6D+"] == values["typed"] == "0.5500 -> 0.8500"


def test_without_sets_nothing_is_told_of_them():
    assert "typed" not in summary(ROWS, {}, {})
    assert set_table({}) == ""


def test_the_table_of_sets_has_gpt3s_published_figures_beside_those_of_its_tasks():
    titles, _, *lines = [
        [part.strip() for part in text.strip("|").split("|")]
        for text in set_table(SETS).splitlines()
    ]
    found = [dict(zip(titles, cells, strict=True)) for cells in lines]
    assert [told["set"] for told in found] == ["2D+", "6D+", "typed"]
    assert [told["GPT-3"] for told in found] == [f"{PUBLISHED['2D+'] / 100:.3f}", "", ""]
    for told in found:
        assert (told["n"], told["base"]) == ("200", "0.550")
        assert told["after (95 % interval)"] == "**0.850** (0.830-0.870)"
        assert told["with right steps"] == "0.750"
        assert titles[-1].startswith("wrong")
        assert told[titles[-1]] == "0.015"


STORY = "It was wrong, and then right."


@pytest.fixture(scope="module")
def page():
    return markdown(ROWS, SETS, "python loop.py --seed 1", {"torch": "9.9"}, "---\nfinal: 1", STORY)


def test_the_report_has_the_command_the_machine_and_the_pictures(page):
    assert "\n    python loop.py --seed 1\n" in page
    assert "torch 9.9" in page
    assert "(curve.png)" in page
    assert "(diagnostics.png)" in page


def test_the_report_has_the_round_table_and_the_final_block_as_they_were_printed(page):
    (printed,) = re.findall("^```\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    assert printed.splitlines() == [TITLES, *map(line, ROWS), "---", "final: 1"]


def test_the_report_has_tables_with_a_row_for_each_round_and_each_score(page):
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    by_level, by_family, sets, scores = tables
    assert by_level[0] == "| round | open levels | 1 | 2 |"
    assert by_level[-1] == "| 3 | 4 | 0.900 | 0.800 |"
    assert by_family[0] == "| round | open levels | add | sub |"
    assert by_family[-1] == "| 3 | 4 | 0.800 | 0.500 |"
    assert scores[2] == "| scaled | 0.900 | 0.020 | 0.100 | 0.750 | 0.500 |"
    assert "\n".join(sets) == set_table(SETS)
    assert [len(table) for table in tables] == [2 + len(ROWS), 2 + len(ROWS), 2 + 3, 2 + 2]
    for table in tables:
        assert len({text.count("|") for text in table}) == 1


# A run as it is reported.


class Printer:
    """Takes the place of a progress bar, and prints what it is told."""

    def say(self, text, file=None):
        print(text, file=file or sys.stdout)


@pytest.fixture
def run(tmp_path):
    """A run after round 1, with a failure of the base and four of round 1."""
    failures = {"9+9": failed("9+9", round=0)}
    failures |= {question: failed(question) for question in ("1+1", "1+2", "1+3", "1+4")}
    right = {failure.id: failure.round == 0 for failure in failures.values()}
    return SimpleNamespace(
        config=Config(),
        folder=tmp_path,
        journal=SimpleNamespace(rows=ROWS[:2]),
        memory=SimpleNamespace(failures=failures, corrected=failures.values, right=right),
        progress=Printer(),
        dice=Random,
        levels=4,
    )


def test_a_run_that_goes_on_prints_its_table_so_far(run, capsys):
    report.begin(run, {"torch": "9.9"})
    assert capsys.readouterr().out.splitlines() == [TITLES, *map(line, ROWS[:2])]


def test_a_run_that_begins_leaves_what_is_run_on_what_and_no_old_report(run):
    (run.folder / "report.md").write_text("of fewer rounds")
    report.begin(run, {"torch": "9.9"})
    assert json.loads((run.folder / "config.json").read_text()) == asdict(run.config)
    assert json.loads((run.folder / "env.json").read_text()) == {"torch": "9.9"}
    assert not (run.folder / "report.md").exists()
    assert (run.folder / "adapters").is_dir()
    report.begin(run, {})  # what is there is not in the way


@pytest.mark.parametrize(("wanted", "count"), [(3, 3), (0, 0), (9, 4)])
def test_a_round_is_a_line_on_stdout_and_some_of_its_failures_on_stderr(wanted, count, run, capsys):
    run.config = Config(show=wanted)
    report.show(run)
    out, err = capsys.readouterr()
    assert out.splitlines() == [line(ROWS[1])]
    told = err.splitlines()
    assert len(set(told)) == len(told) == count
    of_the_round = {shown(f) for f in run.memory.failures.values() if f.round == 1}
    assert set(told) <= of_the_round


def test_a_level_that_opens_is_said(run, capsys):
    run.config = Config(show=0)
    run.levels = 5
    report.show(run)
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "level 5 opens: 91% of its dev questions could be marked, and of level 4 88% are right"
    ]


@pytest.mark.parametrize("drawn", [True, False])
def test_a_finished_run_leaves_its_report_and_prints_the_last_block(
    drawn, run, capsys, monkeypatch
):
    monkeypatch.setattr(sys, "argv", ["loop.py", "--seed", "1"])
    monkeypatch.setattr(report, "peak_memory", lambda: 7)
    if drawn:
        pytest.importorskip("matplotlib")
    else:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    facts = {"torch": "9.9"}
    found = {"typed": figures_of(0.85), "unknown": figures_of(0.5)}
    report.finish(run, facts, found, "0 of 5", 61.9)

    told = {"leaks": "0 of 5", "seconds": 61, "memory_mib": 7, "out": run.folder}
    told["report"] = run.folder / "report.md"
    if drawn:
        told["picture"] = run.folder / "curve.png"
    told["next"] = f"python -m minisi ask --run {run.folder}"
    sets = {"typed": [figures_of(0.55), figures_of(0.85)]}
    block = summary(ROWS[:2], sets, told)
    assert capsys.readouterr().out == block + "\n"
    page = markdown(ROWS[:2], sets, typed(), facts, block, report.learned(run.memory))
    assert (run.folder / "report.md").read_text() == page
    assert "`9+9` was `" in page
    assert json.loads((run.folder / "sets.json").read_text()) == sets
    pictures = {path.name for path in run.folder.glob("*.png")}
    assert pictures == ({"curve.png", "diagnostics.png"} if drawn else set())
