"""The programs, from the command line and from within, on a model that learns next to nothing."""

import json
import shlex
import shutil
from collections import Counter
from itertools import chain

import pytest

import loop
from minisi.lab.ask import ask, shown
from minisi.method.detect import RAW
from minisi.run.config import Config
from minisi.run.runtime import UserError, dice
from minisi.tasks.families import FAMILIES, chosen
from minisi.tasks.problems import draw, split_of
from train import HARDER, curriculum

from .programs import (
    SETS,
    TEST_QUESTIONS,
    contents,
    options,
    program,
    python,
    rows,
    settings,
    timeless,
)

pytestmark = pytest.mark.usefixtures("no_pictures")
TAUGHT = 4 * 8  # problems that the base was taught
WIDTH = 100  # columns of a terminal


# What a run leaves and says.


def test_a_run_leaves_what_the_design_says(finished):
    assert finished.returncode == 0, finished.stderr
    folder = finished.folder / "loop"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    states = {f"model-{n}.pt" for n in range(3)} | {f"manifest-{n}.json" for n in range(3)}
    assert names == states | {
        *("lock", "config.json", "env.json"),
        *("metrics.jsonl", "answers.jsonl", "memory.jsonl", "lessons.jsonl"),
        *("sets.json", "report.md", "curve.png", "diagnostics.png"),
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
    assert {len(row["weights"]) for row in made} == {len(RAW)}


def test_what_was_trained_on_is_logged_and_of_the_train_split(finished):
    lessons = rows(finished.folder / "loop", "lessons")
    memory = rows(finished.folder / "loop", "memory")
    assert [row["round"] for row in lessons] == [1, 2]
    learned = {row["question"] for row in memory}
    for row in lessons:
        assert set(row["questions"]) & learned
        assert {split_of(question) for question in row["questions"]} == {"train"}


def test_the_sets_beside_the_test_set_are_asked_first_and_last(finished):
    first, *later = rows(finished.folder / "loop")
    assert [row["sets"] for row in later] == [{}, {}]
    asked = json.loads((finished.folder / "loop" / "sets.json").read_text())
    assert {name: before for name, (before, _) in asked.items()} == first["sets"]
    assert {name: after["n"] for name, (_, after) in asked.items()} == SETS
    for found in asked.values():
        for told in found:
            assert 0 <= told["low"] <= told["accuracy"] <= told["high"] <= 1
            assert told["right_steps"] <= told["accuracy"]
            assert told["accuracy"] + told["sure_wrong"] <= 1 + 1e-9


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
        steps = row["right_steps_by_family"]
        assert sum(steps.values()) / len(steps) == pytest.approx(row["test_right_steps"])
        assert all(steps[family] <= row["by_family"][family] for family in FAMILIES)


def test_stdout_carries_a_row_a_round_and_a_block_for_grep(finished):
    table, _, block = finished.stdout.partition("---\n")
    _, *lines = table.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    values = dict(line.split(": ", 1) for line in block.splitlines())
    lessons = [row["questions"] for row in rows(finished.folder / "loop", "lessons")]
    learned = TAUGHT + len(rows(finished.folder / "loop", "memory")) + sum(map(len, lessons))
    assert values["leaks"] == f"0 of {learned}"
    assert all(" -> " in values[name] for name in SETS)
    assert block.strip() in (finished.folder / "loop" / "report.md").read_text()


def test_stderr_shows_failures_with_their_corrections(finished):
    shown = [line for line in finished.stderr.splitlines() if " said " in line]
    assert len(shown) == 2 * 3
    assert all(" correction " in line for line in shown)
    assert max(map(len, shown)) <= WIDTH


def test_no_line_of_the_round_table_is_wider_than_a_terminal(finished):
    table, _, _ = finished.stdout.partition("---\n")
    assert max(map(len, table.splitlines())) <= WIDTH


def test_the_same_command_twice_gives_the_same_figures(
    finished, tmp_path, small_test_set, small_sets
):
    again = python("loop.py", *options(tmp_path, small_test_set), *small_sets)  # other hash seed
    assert again.returncode == 0, again.stderr
    first = finished.folder / "loop"
    second = tmp_path / "loop"
    assert timeless(rows(first)) == timeless(rows(second))
    for log in ("memory", "lessons", "answers"):
        assert rows(first, log) == rows(second, log)


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


# Leaks.


def test_a_leak_is_found_in_what_the_base_was_taught(play, monkeypatch):
    taught = [[draw(dice(n, "leak"), split, "add", 3)] for n, split in enumerate(("train", "test"))]
    monkeypatch.setattr(loop, "curriculum", lambda config: iter(taught))
    with pytest.raises(UserError, match="1 of 2 "):
        play(rounds=0)


def test_a_problem_of_a_frozen_set_is_found_in_what_the_base_was_taught(
    play, monkeypatch, tmp_path, small_test_set
):
    (taught, *_), *_ = curriculum(settings(tmp_path, small_test_set))
    test, _ = loop.read_sets(settings(tmp_path, small_test_set))
    monkeypatch.setattr(loop, "read_sets", lambda config: (test, {"mine": [taught]}))
    with pytest.raises(UserError, match=f" of {TAUGHT} "):
        play(rounds=0)


@pytest.mark.parametrize("families", ["", "chain,story,add"])
def test_the_curriculum_starts_with_chains_and_keeps_to_its_levels_and_split(
    families, tmp_path, small_test_set
):
    known = chosen(families)
    taught = Counter([*known, *(family for family in HARDER if family in known)])
    each = {family: 3 * times for family, times in taught.items()}  # once at each of three levels
    batch = sum(each.values())
    changed = {"base_families": families, "base_levels": 3, "base_batch": batch}
    changed |= {"base_steps": 5, "base_chain_steps": 2}
    steps = list(curriculum(settings(tmp_path, small_test_set, **changed)))
    counts = [Counter(problem.family for problem in problems) for problems in steps]
    assert counts == [{"chain": batch}] * 2 + [each] * 3
    problems = list(chain.from_iterable(steps))
    assert {split_of(problem.question) for problem in problems} == {"train"}
    assert {problem.level for problem in problems} == {1, 2, 3}


# Going on, and refusing to.


def test_a_finished_run_is_finished(finished, play, capsys):
    folder = finished.folder / "loop"
    before = contents(folder.rglob("*"))
    assert play(out=str(folder)) == rows(folder)
    assert "is finished" in capsys.readouterr().err
    assert contents(before) == before


def test_a_finished_run_may_get_more_rounds(finished, play, tmp_path):
    folder = shutil.copytree(finished.folder / "loop", tmp_path / "loop")
    made = play(rounds=3)
    assert [row["round"] for row in made] == [0, 1, 2, 3]
    assert made[:3] == rows(finished.folder / "loop")
    assert json.loads(json.dumps(made)) == rows(folder)


def test_a_run_that_was_begun_needs_no_base(finished, play, tmp_path):
    shutil.copytree(finished.folder / "loop", tmp_path / "loop")
    nowhere = tmp_path / "gone"
    assert len(play(base=str(nowhere))) == 3
    made = play(base=str(nowhere), rounds=3)
    assert len(made) == 4
    assert not nowhere.exists()
    kept = json.loads((tmp_path / "loop/manifest-3.json").read_text().split("\n")[0])["base"]
    assert kept["base"] == f"{finished.folder}/base"


def test_the_sizes_of_a_base_that_is_gone_are_those_of_its_run(finished, tmp_path):
    shutil.copytree(finished.folder / "loop", tmp_path / "loop")
    given = shlex.split(f"--base {tmp_path}/gone --out {tmp_path}/loop")
    loop_options = ["batch", "questions", "dev_questions", "steps", "limit", "levels", "rounds"]
    config = json.loads((tmp_path / "loop/config.json").read_text())
    for name in loop_options:
        given += [f"--{name}", str(config[name])]
    done = program("loop.py", *given, "--test", config["test"], "--sets", "")
    assert done.returncode == 0, done.stderr
    assert "is finished" in done.stderr


def test_a_run_of_other_settings_is_refused_in_one_sentence(finished, play):
    lr = Config().lr
    wanted = f"^[^\n]*corrector solver, not self; lr {lr}, not 0.5[^\n]*$"
    with pytest.raises(UserError, match=wanted):
        play(out=f"{finished.folder}/loop", lr=0.5, corrector="self")


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
        ("-m minisi testset tset", 2, "did you mean test?"),
        ("loop.py --out README.md/x", 1, "README.md"),
        ("train.py --steps 3", 2, "--base_steps"),
        ("-m minisi ask what?", 1, "no family"),
    ],
)
def test_a_mistake_gets_one_sentence(command, code, words):
    done = program(*shlex.split(command))
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("question", "words"), [("3+4", "python loop.py"), ("a>b from a 2", "no fact leads on")]
)
def test_a_question_that_cannot_be_asked_is_the_users_error(question, words):
    with pytest.raises(UserError, match=words):
        shown(ask("nowhere", [question], "cpu")[0])


def test_ask_says_whether_the_solver_agrees(finished):
    folder = f"{finished.folder}/loop"
    done = program("-m", "minisi", "ask", "--run", folder, "--device", "cpu", "347+586")
    assert done.returncode == 0, done.stderr
    told = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert list(told) == ["steps", "answer", "confidence", "solver"]
    assert told["solver"] == " agrees" or "933" in told["solver"]


@pytest.mark.parametrize("program", ["loop.py", "train.py", "-m minisi"])
def test_help_does_not_load_torch(program):
    done = python("-X", "importtime", *program.split(), "--help")
    assert done.returncode == 0
    assert " torch\n" not in done.stderr
