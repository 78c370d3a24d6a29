"""The programs, from the command line and from within, on a model that learns next to nothing."""

import json
import math
import shlex
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import loop
from minisi.lab import compare, evaluate
from minisi.lab.ask import ask, shown
from minisi.lab.controls import ARMS
from minisi.method import student, teacher
from minisi.method.detect import RAW
from minisi.method.teacher import TEACHERS
from minisi.model.generate import Completion
from minisi.run.config import configure, parser
from minisi.run.files import append_rows, read_rows
from minisi.run.runtime import UserError, dice
from minisi.tasks import arithmetic, expressions, stories
from minisi.tasks.families import FAMILIES
from minisi.tasks.problems import BAR, draw, solve, split_of
from train import curriculum

ROOT = Path(__file__).parents[1]
TINY = shlex.split(
    "--n_layer 1 --n_embd 16 --n_head 1 --n_hidden 16 --base_steps 4 --base_batch 8 --batch 8"
    " --rounds 2 --questions 32 --dev_questions 16 --steps 3 --limit 24 --device cpu"
)
TEST_QUESTIONS = 64
TAUGHT = 4 * 8  # problems that the base was taught
WIDTH = 100  # columns of a terminal


class Program:
    """A program at work, in a folder of its own if it leaves anything."""

    def __init__(self, arguments, folder=None):
        self.folder = folder
        self.returncode = None
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self):
        """Wait for its end: with that, `stdout`, `stderr` and `returncode` are there."""
        if self.returncode is None:
            self.stdout, self.stderr = self.process.communicate()
            self.returncode = self.process.returncode
        return self


def python(*arguments):
    """Run a program to its end."""
    return Program(arguments).end()


def options(folder, test):
    """The command line of a tiny run."""
    return [*TINY, "--base", f"{folder}/base", "--out", f"{folder}/loop", "--test", str(test)]


def settings(folder, test, **changed):
    """The settings of a tiny run."""
    given = vars(parser("", ARMS, TEACHERS).parse_args(options(folder, test)))
    return configure({**given, **changed})


def run(folder, test, *extra):
    """A tiny run, as a program of its own."""
    return python("loop.py", *options(folder, test), *extra)


def rows(folder, log="metrics"):
    return read_rows(folder / f"{log}.jsonl")


def timeless(rows):
    """Rows without what differs from one time to the next."""
    return [{**row, "seconds": 0} for row in rows]


def contents(paths):
    return {path: path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture(autouse=True, scope="module")
def no_pictures():
    """Runs within this process draw none, which would take most of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        yield


@pytest.fixture(scope="module")
def small_test_set(tmp_path_factory):
    rows = (ROOT / "data" / "test.jsonl").read_text().splitlines(keepends=True)
    path = tmp_path_factory.mktemp("data") / "test.jsonl"
    path.write_text("".join(rows[::32]))
    return path


@pytest.fixture(scope="module")
def begun(tmp_path_factory, small_test_set):
    """A run, the same run again, and a comparison: at once, which saves time."""
    run, again, arms = (tmp_path_factory.mktemp(name) for name in ("run", "again", "arms"))
    places = ["--out", f"{arms}/loop", "--test", str(small_test_set)]
    compared = ["--compare", "failure,random", "--seeds", "1,2"]
    programs = [
        Program(["loop.py", *options(run, small_test_set)], run),
        Program(["loop.py", *options(again, small_test_set)], again),
        Program(["loop.py", *TINY, *places, *compared], arms),
    ]
    yield programs
    for program in programs:
        program.end()


@pytest.fixture(scope="module")
def finished(begun):
    """A run that has come to its end."""
    return begun[0].end()


@pytest.fixture
def play(finished, tmp_path, small_test_set):
    """Plays a run within this process, in the test's own folder, on the finished base."""

    def play(**changed):
        given = {"base": f"{finished.folder}/base", **changed}
        return loop.loop(settings(tmp_path, small_test_set, **given))

    return play


# What a run leaves and says.


def test_a_run_leaves_what_the_design_says(finished):
    assert finished.returncode == 0, finished.stderr
    folder = finished.folder / "loop"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    states = {f"model-{n}.pt" for n in range(3)} | {f"manifest-{n}.json" for n in range(3)}
    assert names == states | {
        *("lock", "config.json", "env.json"),
        *("metrics.jsonl", "answers.jsonl", "memory.jsonl"),
        *("report.md", "curve.png", "diagnostics.png"),
        *("adapters/round_01.pt", "adapters/round_02.pt"),
    }


def test_the_rows_have_one_shape_and_the_memory_is_of_the_train_split(finished):
    made = rows(finished.folder / "loop")
    memory = rows(finished.folder / "loop", "memory")
    assert [row["round"] for row in made] == [0, 1, 2]
    assert len({tuple(sorted(row)) for row in made}) == 1
    assert made[-1]["memory"] == len({row["id"] for row in memory}) > 0
    assert {split_of(row["question"]) for row in memory} == {"train"}
    assert made[-1]["corrections"] == sum(row["source"] == "solver" for row in memory)
    assert {(row["batch"], len(row["weights"])) for row in made} == {(8, len(RAW))}


def test_the_answers_and_the_cells_add_up_to_the_accuracy(finished):
    made = rows(finished.folder / "loop")
    cells = {f"{family}/{level}" for family in FAMILIES for level in range(1, 5)}
    for row, answers in zip(made, rows(finished.folder / "loop", "answers"), strict=True):
        right = answers["right"].count("1")
        assert answers["round"] == row["round"]
        assert len(answers["right"]) == row["test_n"] == TEST_QUESTIONS
        assert right + answers["right"].count("0") == TEST_QUESTIONS
        assert right == pytest.approx(TEST_QUESTIONS * row["test_accuracy"])
        assert set(row["by_cell"]) == cells
        assert sum(row["by_cell"].values()) / len(cells) == pytest.approx(row["test_accuracy"])


def test_stdout_carries_a_row_a_round_and_a_block_for_grep(finished):
    table, _, block = finished.stdout.partition("---\n")
    _, *lines = table.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    values = dict(line.split(": ", 1) for line in block.splitlines())
    learned = len(rows(finished.folder / "loop", "memory")) + TAUGHT
    assert values["leaks"] == f"0 of {learned}"
    assert block.strip() in (finished.folder / "loop" / "report.md").read_text()


def test_stderr_shows_failures_with_their_corrections(finished):
    shown = [line for line in finished.stderr.splitlines() if " said " in line]
    assert len(shown) == 2 * 3
    assert all(" correction " in line for line in shown)
    assert max(map(len, shown)) <= WIDTH


def test_no_line_of_the_round_table_is_wider_than_a_terminal(finished):
    table, _, _ = finished.stdout.partition("---\n")
    assert max(map(len, table.splitlines())) <= WIDTH


def test_the_same_command_twice_gives_the_same_figures(finished, begun):
    again = begun[1].end()
    assert again.returncode == 0, again.stderr
    first = finished.folder / "loop"
    second = again.folder / "loop"
    assert timeless(rows(first)) == timeless(rows(second))
    assert rows(first, "memory") == rows(second, "memory")


# What a round does.


def test_the_models_own_corrections_are_looked_for_in_each_round(play, tmp_path):
    _, *made = play(corrector="self", samples=2)
    assert all(row["self_corrected"] + row["unsolved"] > 0 for row in made)
    assert "unsolved" in {row["source"] for row in rows(tmp_path / "loop", "memory")}


def test_random_takes_as_many_corrections_as_there_were_failures(play, finished):
    first = play(arm="random")[1]
    assert first["corrections"] == first["wrong"] + first["unparsable"]
    assert first["corrections"] == rows(finished.folder / "loop")[1]["corrections"]
    assert first["steps"] == 3


def test_a_round_has_as_many_steps_as_its_corrections_ask_for(play):
    first = play(steps=1000, passes=3.0)[1]
    assert first["steps"] == math.ceil(3 * first["corrections"] / 8) > 3


# Leaks.


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_leak_is_found_in_what_is_remembered(split, tmp_path, small_test_set):
    path = tmp_path / "memory.jsonl"
    one = SimpleNamespace(folder=tmp_path, memory=SimpleNamespace(path=path))
    taught = list(chain.from_iterable(curriculum(settings(tmp_path, small_test_set))))
    assert evaluate.audit(one, taught) == "0 of 32"

    known = draw(dice(1, "leak"), "train", "expr", 2).question
    append_rows(path, [{"question": known}])
    assert evaluate.audit(one, taught) == "0 of 33"

    leak = draw(dice(2, "leak"), split, "expr", 2).question
    append_rows(path, [{"question": leak}])
    with pytest.raises(UserError) as found:
        evaluate.audit(one, taught)
    assert "1 of 34" in str(found.value)
    assert repr(leak) in str(found.value)


def test_a_leak_is_found_in_what_the_base_was_taught(play, monkeypatch):
    taught = [[draw(dice(n, "leak"), split, "add", 3)] for n, split in enumerate(("train", "test"))]
    monkeypatch.setattr(loop, "curriculum", lambda config: iter(taught))
    with pytest.raises(UserError, match="1 of 2 "):
        play(rounds=0)


def test_the_curriculum_starts_with_chains_and_keeps_to_its_levels_and_split(
    tmp_path, small_test_set
):
    changed = {"base_steps": 6, "base_chain_steps": 2, "base_batch": 24}
    steps = list(curriculum(settings(tmp_path, small_test_set, **changed)))
    assert [len({p.family for p in problems}) for problems in steps] == [1, 1, 8, 8, 8, 8]
    assert steps[0][0].family == "chain"
    problems = list(chain.from_iterable(steps))
    assert {split_of(problem.question) for problem in problems} == {"train"}
    assert {problem.level for problem in problems} == {1, 2, 3}


# A comparison.


@pytest.fixture(scope="module")
def compared(begun):
    """A comparison that has come to its end."""
    return begun[2].end()


@pytest.fixture
def copied(compared, tmp_path):
    """A copy of the comparison's folder."""
    return shutil.copytree(compared.folder / "loop", tmp_path / "loop")


def comparison(folder):
    return json.loads((folder / "compare.json").read_text())


def cells(folder):
    """The arms and seeds that were compared."""
    return [(cell["arm"], cell["seed"]) for cell in comparison(folder)["cells"]]


def told(folder):
    """What was told of each run that was compared."""
    return [(cell["curve"], cell["mcnemar"]) for cell in comparison(folder)["cells"]]


def test_a_comparison_plays_each_arm_with_each_seed(compared):
    folder = compared.folder / "loop"
    assert compared.returncode == 0, compared.stderr
    runs = {"failure-1", "failure-2", "random-1", "random-2"}
    results = {"compare.json", "RESULTS.md", "compare.png"}
    assert {path.name for path in folder.iterdir()} == {*runs, "base-1", "base-2", *results}
    assert cells(folder) == [("failure", 1), ("failure", 2), ("random", 1), ("random", 2)]
    *_, first, second, where = compared.stdout.splitlines()
    assert (first.split()[0], second.split()[0]) == ("failure", "random")
    assert where == f"all tables: {folder / 'RESULTS.md'}"
    assert compare.results(comparison(folder)) == (folder / "RESULTS.md").read_text()
    for name in runs:
        made = json.loads((folder / name / "config.json").read_text())
        assert f"{made['arm']}-{made['seed']}" == name
        assert made["base"] == f"{folder}/base-{made['seed']}"


@pytest.mark.parametrize("name", ["random-2", "failure-1"])
def test_finished_runs_are_kept_and_one_that_was_cut_short_goes_on(
    name, compared, copied, tmp_path, small_test_set
):
    cut = copied / name
    before = rows(cut)
    stamps = {path: path.stat().st_mtime_ns for path in copied.rglob("*.jsonl")}
    for lost in ("report.md", "manifest-2.json"):
        (cut / lost).unlink()
    append_rows(cut / "metrics.jsonl", [{"half": "a row"}])
    first = (cut / "manifest-1.json").stat().st_mtime_ns
    config = settings(tmp_path, small_test_set, compare="random", seeds="1,2")
    compare.compare(config, loop.loop)

    touched = {path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp}
    assert {path.parent.name for path in touched} == {name}
    assert timeless(rows(cut)) == timeless(before)
    assert (cut / "manifest-1.json").stat().st_mtime_ns == first
    assert told(copied) == told(compared.folder / "loop")


def test_a_comparison_of_no_rounds_compares_the_bases(tmp_path, small_test_set):
    config = settings(tmp_path, small_test_set, compare="random", seeds="1", rounds=0)
    compare.compare(config, loop.loop)
    assert cells(tmp_path / "loop") == [("failure", 1), ("random", 1)]
    (first, p), (second, q) = told(tmp_path / "loop")
    assert first == second
    assert p == q == 1


def test_a_finished_run_that_was_damaged_since_is_played_again_and_never_compared_as_it_is(
    compared, copied, tmp_path, small_test_set
):
    damaged = copied / "random-1"
    before = rows(damaged)
    path = damaged / "metrics.jsonl"
    *first, last = path.read_text().splitlines(keepends=True)
    changed = last.replace('"corrections": ', '"corrections": 1', 1)
    path.write_text("".join([*first, changed]))
    config = settings(tmp_path, small_test_set, compare="random", seeds="1,2")
    compare.compare(config, loop.loop)

    assert timeless(rows(damaged)) == timeless(before)
    assert told(copied) == told(compared.folder / "loop")


@pytest.mark.parametrize("changed", [{"steps": 4}, {"base_steps": 5}, {"corrector": "self"}])
def test_finished_runs_of_other_settings_are_not_compared(changed, compared, small_test_set):
    (name,) = changed
    other = {"compare": "random", "seeds": "1,2", **changed}
    with pytest.raises(UserError, match=name):
        compare.compare(settings(compared.folder, small_test_set, **other), loop.loop)


def test_an_arm_or_a_seed_that_is_named_twice_counts_once(copied, tmp_path, small_test_set):
    config = settings(tmp_path, small_test_set, compare="random,,random", seeds="1,1")
    compare.compare(config, pytest.fail)  # all runs are there
    assert cells(copied) == [("failure", 1), ("random", 1)]


def test_a_comparison_refuses_a_base_of_other_settings(compared, tmp_path, small_test_set):
    shutil.copytree(compared.folder / "loop" / "base-1", tmp_path / "base-1")
    other = {"compare": "random", "seeds": "1", "out": str(tmp_path), "base_steps": 9}
    with pytest.raises(UserError, match="base_steps"):
        compare.compare(settings(tmp_path, small_test_set, **other), loop.loop)


def test_a_comparison_with_a_seed_of_its_own_is_the_users_error(monkeypatch):
    monkeypatch.setattr(loop, "GIVEN", {"compare": "random", "seed": 3}, raising=False)
    with pytest.raises(UserError, match="--seed"):
        loop.main()


# The answer key, which `vote` never sees.

NONSENSE = "1|x"


def said(text, sure):
    """A completion that came to its end."""
    return Completion(text, [1], [sure], True, [0.5])


def known(question):
    """The right answer; none where the question makes no sense."""
    try:
        return solve(question).target
    except UserError:
        return ""


def mostly(model, codec, prompts, limit, **sampling):
    """Stands in for decoding: three of four answers are right, what makes no sense has none."""
    completions = []
    for prompt in prompts:
        if zlib.crc32(prompt.encode()) % 4 == 0:
            completions.append(said(NONSENSE, 0.45))
        else:
            completions.append(said(known(prompt.removesuffix(BAR)), 0.9))
    return completions


WORKED_OUT = [  # what the families' solvers are made of
    (arithmetic.Columns, "work"),
    (expressions.Logic, "apply"),
    *((module, "equation") for module in (arithmetic, expressions, stories)),
]


class Key:
    """Watches the answer key during a whole run: whoever looks into it fails.

    Trusted are the examiner, whose figures decide nothing, what comes before the first question,
    and what stands in for the model.
    """

    def __init__(self, patch):
        self.trusting = 0
        for family in FAMILIES.values():
            patch.setattr(type(family), "solve", self.watched(type(family).solve))
        patch.setattr(teacher, "check", self.watched(teacher.check))
        for place, name in WORKED_OUT:
            patch.setattr(place, name, self.watched(getattr(place, name)))
        for name in ("is_right", "labels"):
            patch.setattr(evaluate, name, self.trusted(getattr(evaluate, name)))
        for name in ("read_test_set", "get_base"):
            patch.setattr(loop, name, self.trusted(getattr(loop, name)))
        patch.setattr(student, "generate", self.trusted(student.generate))

    def watched(self, function):
        def call(*given):
            assert self.trusting, f"the key was looked up: {given}"
            return function(*given)

        return call

    def trusted(self, function):
        def call(*given, **named):
            self.trusting += 1
            try:
                return function(*given, **named)
            finally:
                self.trusting -= 1

        return call


@pytest.fixture
def key(monkeypatch):
    """The watch, with a stand-in for decoding."""
    monkeypatch.setattr(student, "generate", mostly)
    return Key(monkeypatch)


@pytest.mark.parametrize("threshold", [-1, 0.6])
def test_with_vote_nothing_in_a_whole_run_looks_into_the_key(threshold, play, key, tmp_path):
    _, first, second = play(corrector="vote", threshold=threshold)
    assert key.trusting == 0

    # All that could have looked did take place.
    for row in (first, second):
        assert row["unsure"] > 0
        assert 0 < row["threshold"] < 1
        assert row["steps"] == 3
        assert row["dev_after"] >= row["dev_before"] > 0
        assert row["label_precision"] > 0
    assert first["kept"]
    assert second["relapsed"] > 0
    assert second["asked"] > 32  # some were asked again
    assert {"vote", "unsolved"} <= {row["source"] for row in rows(tmp_path / "loop", "memory")}
    if threshold > 0:
        assert first["asked"] > sum(first[kind] for kind in evaluate.KINDS)  # the others replay


@pytest.mark.parametrize("corrector", ["solver", "self"])
def test_with_a_solver_or_a_checker_the_key_is_looked_into(corrector, play, key):
    with pytest.raises(AssertionError, match="was looked up"):
        play(corrector=corrector)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_watch_sees_each_way_to_the_key(family, key):
    problem = draw(dice(1, "watch"), "train", family, 2)
    for look in (lambda: problem.steps, lambda: problem.answer, lambda: problem.target):
        with pytest.raises(AssertionError, match="was looked up"):
            look()
    with pytest.raises(AssertionError, match="was looked up"):
        teacher.check("13", "7+6+0=13|13")


# The arms.


def coin(model, codec, prompts, limit, **sampling):
    """Stands in for decoding: about half of the answers are right.

    The least change of the model changes which.
    """
    state = 1e4 * model(torch.tensor(codec.encode(["3+4|"])))[0, -1, 1].item()
    completions = []
    for prompt in prompts:
        odds = math.sin(state + zlib.crc32(prompt.encode()))
        text = solve(prompt.removesuffix(BAR)).target if odds > 0 else NONSENSE
        completions.append(said(text, 1 / (1 + math.exp(-abs(odds)))))
    return completions


@pytest.fixture(scope="module")
def all_arms(tmp_path_factory, small_test_set):
    """The folder of each arm's run."""
    folder = tmp_path_factory.mktemp("arms")
    changed = {"lr": 0.02, "full_lr": 0.02, "compare": ",".join(ARMS), "seeds": "5"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(student, "generate", coin)
        compare.compare(settings(folder, small_test_set, **changed), loop.loop)
    return {arm: folder / "loop" / f"{arm}-5" for arm in ARMS}


@pytest.fixture(scope="module")
def made(all_arms):
    """The rows of each arm's run."""
    return {arm: rows(folder) for arm, folder in all_arms.items()}


def test_the_arms_start_alike_and_go_apart(made):
    assert all(0 < row["wrong"] < row["asked"] for row in made["failure"][1:])
    assert len({made[arm][2]["wrong"] for arm in ARMS}) > 2
    figures = ("test_accuracy", "by_cell", "auroc", "generated_tokens")
    assert len({json.dumps([made[arm][0][name] for name in figures]) for arm in ARMS}) == 1


def spent(rows):
    """What each round had to learn from."""
    return [(row["steps"], row["corrections"]) for row in rows]


@pytest.mark.parametrize("arm", sorted({*ARMS} - {"static", "fresh"}))
def test_an_arm_has_as_many_steps_and_corrections_in_each_round_as_failure(arm, made):
    assert spent(made[arm]) == spent(made["failure"])


def test_static_learns_nothing(made):
    figures = ("steps", "corrections", "memory", "test_accuracy")
    base = made["static"][0]["test_accuracy"]
    assert {tuple(row[name] for name in figures) for row in made["static"]} == {(0, 0, 0, base)}


def test_fresh_has_steps_and_corrections_but_no_memory(made):
    _, first, second = made["fresh"]
    assert [row["steps"] for row in made["fresh"]] == [0, 3, 3]
    assert first["corrections"] > 0
    assert second["memory"] == 0


def test_all_arms_but_full_and_static_leave_an_adapter_a_round(all_arms):
    saved = {arm: len(list((folder / "adapters").iterdir())) for arm, folder in all_arms.items()}
    assert saved == {**dict.fromkeys(ARMS, 2), "full": 0, "static": 0}


@pytest.mark.parametrize("arm", ARMS)
def test_corrections_are_true_but_in_corrupt_which_exchanges_them(arm, all_arms):
    bought = [row for row in rows(all_arms[arm], "memory") if row["source"] == "solver"]
    truth = [(row["round"], solve(row["question"], row["family"]).target) for row in bought]
    given = [(row["round"], row["completion"]) for row in bought]
    assert Counter(truth) == Counter(given)
    false = sum(a != b for a, b in zip(truth, given, strict=True))
    assert (false > len(bought) / 2) if arm == "corrupt" else (false == 0)


@pytest.mark.parametrize("arm", ARMS)
def test_right_answers_that_were_unsure_are_kept_by_the_arms_that_know_of_failures(arm, all_arms):
    sources = {row["source"] for row in rows(all_arms[arm], "memory")}
    assert ("own" in sources) == (arm not in ("random", "fresh", "static"))


def test_failure_buys_what_went_wrong_and_random_what_did_not(all_arms):
    memory = rows(all_arms["failure"], "memory")
    assert {row["kind"] for row in memory if row["source"] == "solver"} == {"wrong"}
    assert {"right", "unsure"} & {row["kind"] for row in rows(all_arms["random"], "memory")}


# Going on, and refusing to.


def test_a_finished_run_is_finished(finished, small_test_set):
    before = contents((finished.folder / "loop").rglob("*"))
    done = run(finished.folder, small_test_set)
    assert done.returncode == 0
    assert "is finished" in done.stderr
    assert contents(before) == before


def test_a_finished_run_may_get_more_rounds(finished, play, tmp_path):
    folder = shutil.copytree(finished.folder / "loop", tmp_path / "loop")
    made = play(rounds=3)
    assert [row["round"] for row in made] == [0, 1, 2, 3]
    assert made[:3] == rows(finished.folder / "loop")
    assert json.loads(json.dumps(made)) == rows(folder)


def test_a_run_of_other_settings_is_refused_in_one_sentence(finished, small_test_set):
    done = run(finished.folder, small_test_set, "--lr", "0.5", "--corrector", "self")
    assert done.returncode == 1
    assert "corrector solver, not self" in done.stderr
    assert "lr 0.0025, not 0.5" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_is_not_taken_for_a_base(finished, play):
    folder = finished.folder / "loop"
    before = contents(folder.rglob("*.*"))
    with pytest.raises(UserError, match="holds a run"):
        play(base=str(folder))
    assert contents(folder.rglob("*.*")) == before


def test_a_base_is_not_taken_for_a_run(finished, play, tmp_path):
    folder = finished.folder / "base"
    before = contents(folder.rglob("*.*"))
    with pytest.raises(UserError, match="holds a base"):
        play(out=str(folder), base=f"{tmp_path}/base")
    assert contents(folder.rglob("*.*")) == before


def test_a_base_made_with_other_settings_is_refused(play, tmp_path):
    with pytest.raises(UserError, match="n_layer 1, not 2"):
        play(n_layer=2)
    assert not list((tmp_path / "loop").glob("m*"))


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("loop.py --round 3", 2, "--rounds"),
        ("loop.py --arm failures", 2, "failure"),
        ("loop.py ''", 2, "--help"),
        ("loop.py --base runs/x --out ./runs/x", 2, "two folders"),
        ("loop.py --rounds -1", 2, "outside"),
        ("loop.py --n_embd 100", 2, "multiple"),
        ("loop.py --compare failure,rnadom", 2, "rnadom"),
        ("loop.py --test nowhere.jsonl", 1, "nowhere.jsonl"),
        ("loop.py --out README.md/x", 1, "README.md"),
        ("train.py --steps 3", 2, "--base_steps"),
        ("-m minisi ask what?", 1, "no family"),
    ],
)
def test_a_mistake_gets_one_sentence(command, code, words):
    done = python(*shlex.split(command))
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("question", "words"), [("3+4", "python loop.py"), ("3-44", "below zero")])
def test_a_question_that_cannot_be_asked_is_the_users_error(question, words):
    with pytest.raises(UserError, match=words):
        shown(ask("nowhere", [question], "cpu")[0])


def test_ask_says_whether_the_solver_agrees(finished):
    folder = f"{finished.folder}/loop"
    done = python("-m", "minisi", "ask", "--run", folder, "--device", "cpu", "347+586")
    assert done.returncode == 0, done.stderr
    told = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert list(told) == ["steps", "answer", "confidence", "solver"]
    assert told["solver"] == " agrees" or "933" in told["solver"]


@pytest.mark.parametrize("program", ["loop.py", "train.py", "-m minisi"])
def test_help_does_not_load_torch(program):
    done = python("-X", "importtime", *program.split(), "--help")
    assert done.returncode == 0
    assert " torch\n" not in done.stderr
