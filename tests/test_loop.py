import json
import subprocess
import sys
from pathlib import Path

import pytest

from minisi.tasks import split_of

ROOT = Path(__file__).parents[1]
TINY = (
    "--n_layer 1 --n_embd 16 --n_head 1 --n_hidden 16 --base_steps 4 --base_batch 8 --batch 8 --rounds 2 --questions 32 --dev_questions 16 --steps 3 --limit 24"
).split()


def python(*arguments, cwd=ROOT):
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def small_test_set(tmp_path_factory):
    rows = (ROOT / "data" / "test.jsonl").read_text().splitlines(keepends=True)
    path = tmp_path_factory.mktemp("data") / "test.jsonl"
    path.write_text("".join(rows[::32]))
    return path


def run(folder, test, *extra):
    return python("loop.py", *TINY, "--base", f"{folder}/base", "--out", f"{folder}/loop", "--test", str(test), "--device", "cpu", *extra)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_test_set):
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder, small_test_set)


def rows(folder):
    return [json.loads(line) for line in (folder / "loop" / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_what_the_design_says(finished):
    folder, done = finished
    assert done.returncode == 0, done.stderr
    names = {str(p.relative_to(folder / "loop")) for p in (folder / "loop").rglob("*") if p.is_file()}
    files = "config.json env.json metrics.jsonl memory.jsonl model.pt report.md curve.png adapters/round_01.pt adapters/round_02.pt"
    assert names == set(files.split())


def test_the_rows_have_one_shape_and_the_memory_is_of_the_train_split(finished):
    folder, _ = finished
    made = rows(folder)
    assert [row["round"] for row in made] == [0, 1, 2]
    assert len({tuple(sorted(row)) for row in made}) == 1
    memory = [json.loads(line) for line in (folder / "loop" / "memory.jsonl").read_text().splitlines()]
    assert made[-1]["memory"] == len({row["id"] for row in memory}) > 0
    assert {split_of(row["question"]) for row in memory} == {"train"}
    assert made[-1]["corrections"] == sum(row["source"] == "solver" for row in memory)


def test_stdout_carries_a_row_a_round_and_a_block_for_grep(finished):
    table, _, block = finished[1].stdout.partition("---\n")
    assert len(table.splitlines()) == 1 + 3
    assert all(": " in line for line in block.splitlines())
    assert "truth" in finished[1].stderr


def test_the_same_command_twice_gives_the_same_figures(finished, tmp_path, small_test_set):
    assert run(tmp_path, small_test_set).returncode == 0
    first, second = ([{**row, "seconds": 0} for row in rows(folder)] for folder in (finished[0], tmp_path))
    assert first == second


@pytest.mark.parametrize("extra", [("--arm", "random"), ("--arm", "static"), ("--corrector", "self", "--samples", "2")])
def test_the_other_arms_and_correctors_run(finished, tmp_path, small_test_set, extra):
    done = run(tmp_path, small_test_set, *extra, "--base", f"{finished[0]}/base")
    assert done.returncode == 0, done.stderr
    made = rows(tmp_path)[1:]
    if "static" in extra:
        assert {(row["steps"], row["memory"], row["test_accuracy"]) for row in made} == {(0, 0, made[0]["test_accuracy"])}
    elif "self" in extra:
        assert all(row["self_corrected"] + row["unsolved"] > 0 for row in made)
    else:
        assert all(row["steps"] == 3 for row in made)


def test_random_takes_as_many_corrections_as_there_were_failures(finished, tmp_path, small_test_set):
    assert run(tmp_path, small_test_set, "--arm", "random", "--base", f"{finished[0]}/base").returncode == 0
    first = rows(tmp_path)[1]
    assert first["corrections"] == first["wrong"] + first["unparsable"] == rows(finished[0])[1]["corrections"]


def test_a_folder_with_a_run_is_refused_in_one_sentence(finished, small_test_set):
    done = run(finished[0], small_test_set)
    assert done.returncode == 1 and "already holds a run" in done.stderr and "Traceback" not in done.stderr


def test_a_run_is_not_taken_for_a_base_nor_a_base_for_a_run(finished, tmp_path, small_test_set):
    folder = finished[0]
    for options in (("--base", f"{folder}/loop"), ("--out", f"{folder}/base", "--base", f"{tmp_path}/base")):
        before = (Path(options[1]) / "model.pt").read_bytes()
        done = run(tmp_path, small_test_set, *options)
        assert done.returncode == 1 and "Traceback" not in done.stderr and (Path(options[1]) / "model.pt").read_bytes() == before


def test_a_base_made_with_other_settings_is_refused(finished, tmp_path, small_test_set):
    done = run(tmp_path, small_test_set, "--base", f"{finished[0]}/base", "--n_layer", "2")
    assert done.returncode == 1 and "n_layer" in done.stderr and not (tmp_path / "loop").exists()


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (("loop.py", "--round", "3"), 2, "--rounds"),
        (("loop.py", "--arm", "failures"), 2, "failure"),
        (("loop.py", ""), 2, "--help"),
        (("loop.py", "--base", "runs/x", "--out", "./runs/x"), 2, "two folders"),
        (("loop.py", "--rounds", "-1"), 2, "outside"),
        (("loop.py", "--n_embd", "100"), 2, "multiple"),
        (("loop.py", "--test", "nowhere.jsonl"), 1, "nowhere.jsonl"),
        (("loop.py", "--out", "README.md/x"), 1, "README.md"),
        (("train.py", "--steps", "3"), 2, "--base_steps"),
        (("-m", "minisi", "ask", "--run", "nowhere", "3+4"), 1, "python loop.py"),
        (("-m", "minisi", "ask", "what?"), 1, "no family"),
        (("-m", "minisi", "ask", "3-44"), 1, "below zero"),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, arguments, code, words):
    done = python(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr


def test_ask_says_whether_the_solver_agrees(finished):
    done = python("-m", "minisi", "ask", "--run", f"{finished[0]}/loop", "--device", "cpu", "347+586")
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in done.stdout.splitlines())
    assert list(lines) == ["steps", "answer", "confidence", "solver"]
    assert lines["solver"] == "agrees" or "933" in lines["solver"]


@pytest.mark.parametrize("program", [("loop.py",), ("train.py",), ("-m", "minisi")])
def test_help_does_not_load_torch(program):
    done = python("-X", "importtime", *program, "--help")
    assert done.returncode == 0 and " torch\n" not in done.stderr
