"""The programs, from the command line and from within, on a model that learns nothing to speak of."""

import json
import math
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest
import torch

import loop
from minisi import checkpoint, compare, evaluate
from minisi.__main__ import ask
from minisi.config import ARMS, configure, parser
from minisi.detect import RAW
from minisi.families import FAMILIES
from minisi.generate import Completion
from minisi.runtime import UserError, dice
from minisi.tasks import draw, solve, split_of
from train import curriculum

ROOT = Path(__file__).parents[1]
TINY = (
    "--n_layer 1 --n_embd 16 --n_head 1 --n_hidden 16 --base_steps 4 --base_batch 8 --batch 8 --rounds 2 --questions 32 --dev_questions 16 --steps 3 --limit 24 --device cpu"
).split()


def python(*arguments, cwd=ROOT):
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def small_test_set(tmp_path_factory):
    rows = (ROOT / "data" / "test.jsonl").read_text().splitlines(keepends=True)
    path = tmp_path_factory.mktemp("data") / "test.jsonl"
    path.write_text("".join(rows[::32]))
    return path


def options(folder, test):
    return [*TINY, "--base", f"{folder}/base", "--out", f"{folder}/loop", "--test", str(test)]


def settings(folder, test, **changed):
    return configure({**vars(parser("").parse_args(options(folder, test))), **changed})


def run(folder, test, *extra):
    return python("loop.py", *options(folder, test), *extra)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_test_set):
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder, small_test_set)


def rows(folder, log="metrics"):
    return checkpoint.read_rows(folder / f"{log}.jsonl")


def test_a_run_leaves_what_the_design_says(finished):
    folder, done = finished
    assert done.returncode == 0, done.stderr
    names = {str(p.relative_to(folder / "loop")) for p in (folder / "loop").rglob("*") if p.is_file()}
    files = "lock config.json env.json metrics.jsonl answers.jsonl memory.jsonl report.md curve.png adapters/round_01.pt adapters/round_02.pt"
    assert names == {*files.split(), *(name for n in range(3) for name in (f"model-{n}.pt", f"manifest-{n}.json"))}


def test_the_rows_have_one_shape_and_the_memory_is_of_the_train_split(finished):
    made, memory = rows(finished[0] / "loop"), rows(finished[0] / "loop", "memory")
    assert [row["round"] for row in made] == [0, 1, 2]
    assert len({tuple(sorted(row)) for row in made}) == 1
    assert made[-1]["memory"] == len({row["id"] for row in memory}) > 0
    assert {split_of(row["question"]) for row in memory} == {"train"}
    assert made[-1]["corrections"] == sum(row["source"] == "solver" for row in memory)
    assert {(row["batch"], len(row["weights"])) for row in made} == {(8, len(RAW))}


def test_the_answers_and_the_cells_add_up_to_the_accuracy(finished):
    for row, answers in zip(rows(finished[0] / "loop"), rows(finished[0] / "loop", "answers"), strict=True):
        assert answers["round"] == row["round"] and len(answers["right"]) == row["test_n"] == 64
        assert answers["right"].count("1") == 64 - answers["right"].count("0") == pytest.approx(64 * row["test_accuracy"])
        assert set(row["by_cell"]) == {f"{family}/{level}" for family in FAMILIES for level in range(1, 5)}
        assert sum(row["by_cell"].values()) / 32 == pytest.approx(row["test_accuracy"])


def test_stdout_carries_a_row_a_round_and_a_block_for_grep(finished):
    table, _, block = finished[1].stdout.partition("---\n")
    assert len(table.splitlines()) == 1 + 3
    values = dict(line.split(": ", 1) for line in block.splitlines())
    assert values["leaks"] == f"0 of {len(rows(finished[0] / 'loop', 'memory')) + 4 * 8}"
    assert "truth" in finished[1].stderr and block.strip() in (finished[0] / "loop" / "report.md").read_text()


def test_the_same_command_twice_gives_the_same_figures(finished, tmp_path, small_test_set):
    assert run(tmp_path, small_test_set).returncode == 0
    first, second = ([{**row, "seconds": 0} for row in rows(folder / "loop")] for folder in (finished[0], tmp_path))
    assert first == second
    assert rows(finished[0] / "loop", "memory") == rows(tmp_path / "loop", "memory")


def test_the_models_own_corrections_are_looked_for_in_each_round(finished, tmp_path, small_test_set):
    made = loop.loop(settings(tmp_path, small_test_set, corrector="self", samples=2, base=f"{finished[0]}/base"))[1:]
    assert all(row["self_corrected"] + row["unsolved"] > 0 for row in made) and {row["source"] for row in rows(tmp_path / "loop", "memory")} >= {"unsolved"}


def test_random_takes_as_many_corrections_as_there_were_failures(finished, tmp_path, small_test_set):
    first = loop.loop(settings(tmp_path, small_test_set, arm="random", base=f"{finished[0]}/base"))[1]
    assert first["corrections"] == first["wrong"] + first["unparsable"] == rows(finished[0] / "loop")[1]["corrections"] and first["steps"] == 3


def test_a_round_has_as_many_steps_as_its_corrections_ask_for(finished, tmp_path, small_test_set):
    first = loop.loop(settings(tmp_path, small_test_set, steps=1000, passes=3.0, base=f"{finished[0]}/base"))[1]
    assert first["steps"] == math.ceil(3 * first["corrections"] / 8) > 3


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_leak_is_found_in_what_is_remembered(split, finished, tmp_path, small_test_set):
    config = settings(tmp_path, small_test_set, base=f"{finished[0]}/base")
    (tmp_path / "loop").mkdir()
    assert loop.audit(config) == "0 of 32"
    for n, leaking in enumerate(("train", split), 1):
        question = draw(dice(n, "leak"), leaking, "expr", 2).question
        checkpoint.append_rows(tmp_path / "loop" / "memory.jsonl", [{"question": question}])
        if leaking == "train":
            assert loop.audit(config) == "0 of 33"
        else:
            with pytest.raises(UserError) as found:
                loop.audit(config)
            assert "1 of 34" in str(found.value) and repr(question) in str(found.value)


def test_a_leak_is_found_in_what_the_base_was_taught(finished, tmp_path, small_test_set, monkeypatch):
    monkeypatch.setattr(loop, "curriculum", lambda config: iter([[draw(dice(n, "leak"), split, "add", 3)] for n, split in enumerate(("train", "test"))]))
    with pytest.raises(UserError, match="1 of 2 "):
        loop.audit(settings(tmp_path, small_test_set, base=f"{finished[0]}/base"))


def test_the_curriculum_starts_with_chains_and_keeps_to_its_levels_and_split(tmp_path, small_test_set):
    steps = list(curriculum(settings(tmp_path, small_test_set, base_steps=6, base_chain_steps=2, base_batch=24)))
    assert [len({p.family for p in problems}) for problems in steps] == [1, 1, 8, 8, 8, 8] and steps[0][0].family == "chain"
    assert {split_of(p.question) for problems in steps for p in problems} == {"train"} and {p.level for problems in steps for p in problems} == {1, 2, 3}


@pytest.fixture(scope="module")
def compared(tmp_path_factory, small_test_set):
    folder = tmp_path_factory.mktemp("compare")
    return folder, python("loop.py", *TINY, "--out", f"{folder}/loop", "--test", str(small_test_set), "--compare", "failure,random", "--seeds", "1,2")


def test_a_comparison_plays_each_arm_with_each_seed(compared):
    folder, done = compared
    assert done.returncode == 0, done.stderr
    cells = {f"{arm}-{seed}" for arm in ("failure", "random") for seed in (1, 2)}
    assert {p.name for p in (folder / "loop").iterdir()} == {*cells, "base-1", "base-2", "compare.json", "compare.md", "compare.png"}
    found = json.loads((folder / "loop" / "compare.json").read_text())
    assert [(c["arm"], c["seed"]) for c in found["cells"]] == [("failure", 1), ("failure", 2), ("random", 1), ("random", 2)]
    assert (folder / "loop" / "compare.md").read_text().strip() in done.stdout
    for cell in cells:
        made = json.loads((folder / "loop" / cell / "config.json").read_text())
        assert f"{made['arm']}-{made['seed']}" == cell and made["base"] == f"{folder}/loop/base-{made['seed']}"


def test_finished_runs_are_kept_and_one_that_was_cut_short_goes_on(compared, small_test_set):
    folder = compared[0] / "loop"
    before, found = rows(folder / "random-2"), json.loads((folder / "compare.json").read_text())
    stamps = {p: p.stat().st_mtime_ns for p in folder.rglob("*.jsonl")}
    for name in ("report.md", "manifest-2.json"):
        (folder / "random-2" / name).unlink()
    checkpoint.append_rows(folder / "random-2" / "metrics.jsonl", [{"half": "a row"}])
    first = (folder / "random-2" / "manifest-1.json").stat().st_mtime_ns
    compare.arms(settings(compared[0], small_test_set, compare="random", seeds="1,2"), loop.loop)
    assert {p.parent.name for p, stamp in stamps.items() if p.stat().st_mtime_ns != stamp} == {"random-2"}
    assert [{**row, "seconds": 0} for row in rows(folder / "random-2")] == [{**row, "seconds": 0} for row in before]
    assert (folder / "random-2" / "manifest-1.json").stat().st_mtime_ns == first
    again = json.loads((folder / "compare.json").read_text())
    assert [(c["curve"], c["mcnemar"]) for c in again["cells"]] == [(c["curve"], c["mcnemar"]) for c in found["cells"]]


def test_a_finished_run_that_was_damaged_since_is_played_again_and_never_compared_as_it_is(compared, tmp_path, small_test_set):
    folder = shutil.copytree(compared[0] / "loop", tmp_path / "loop")
    path = folder / "random-1" / "metrics.jsonl"
    before, found = rows(folder / "random-1"), json.loads((folder / "compare.json").read_text())
    *first, last = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*first, last.replace('"corrections": ', '"corrections": 1', 1)]))
    compare.arms(settings(tmp_path, small_test_set, compare="random", seeds="1,2"), loop.loop)
    assert [{**row, "seconds": 0} for row in rows(folder / "random-1")] == [{**row, "seconds": 0} for row in before]
    assert [c["curve"] for c in json.loads((folder / "compare.json").read_text())["cells"]] == [c["curve"] for c in found["cells"]]


def test_finished_runs_of_other_settings_are_not_compared(compared, small_test_set):
    for changed in (dict(steps=4), dict(base_steps=5), dict(corrector="self")):
        with pytest.raises(UserError, match=next(iter(changed))):
            compare.arms(settings(compared[0], small_test_set, compare="random", seeds="1,2", **changed), loop.loop)


def test_an_arm_or_a_seed_that_is_named_twice_counts_once(compared, small_test_set):
    compare.arms(settings(compared[0], small_test_set, compare="random,,random", seeds="1,1"), pytest.fail)  # all runs are there
    found = json.loads((compared[0] / "loop" / "compare.json").read_text())
    assert [(c["arm"], c["seed"]) for c in found["cells"]] == [("failure", 1), ("random", 1)]


def test_a_comparison_refuses_a_base_of_other_settings(compared, tmp_path, small_test_set):
    shutil.copytree(compared[0] / "loop" / "base-1", tmp_path / "base-1")
    with pytest.raises(UserError, match="base_steps"):
        compare.arms(settings(tmp_path, small_test_set, compare="random", seeds="1", out=str(tmp_path), base_steps=9), loop.loop)


def coin(model, codec, prompts, limit, **sampling):
    """Stands in for decoding: about half of the answers are right, and the least change of the model changes which."""
    odds = [math.sin(1e4 * model(torch.tensor([ids]))[0, -1, 1].item()) for ids in codec.encode(prompts)]
    return [Completion(solve(p[:-1]).target if o > 0 else "1|x", [1], [1 / (1 + math.exp(-abs(o)))], True, [0.5]) for p, o in zip(prompts, odds)]


class Key:
    """Watches the answer key: to look into it is an error, but in what only counts, and in what stands in for the model."""
    def __init__(self, patch):
        self.allowed = 0
        for family in FAMILIES.values():
            patch.setattr(family, "solve", staticmethod(self.watched(family.solve)))
        for place, name in ((evaluate, "score"), (evaluate, "labels"), (loop, "audit"), (loop, "read_test_set"), (loop, "get_base"), (loop, "generate")):
            patch.setattr(place, name, self.trusted(getattr(place, name)))

    def watched(self, solve):
        def call(question):
            assert self.allowed, f"the key to {question} was looked up"
            return solve(question)

        return call

    def trusted(self, function):
        def call(*rest, **more):
            self.allowed += 1
            try:
                return function(*rest, **more)
            finally:
                self.allowed -= 1

        return call


def mostly(model, codec, prompts, limit, **sampling):
    """Stands in for decoding: three of four answers are right, what makes no sense has none."""
    def say(question):
        try:
            return solve(question).target
        except UserError:
            return "1|x"

    sure = [1 - 0.5 * (zlib.crc32(p.encode()) % 4 == 0) for p in prompts]
    return [Completion(say(p[:-1]) if s == 1 else "1|x", [1], [0.9 * s], True, [0.5]) for p, s in zip(prompts, sure)]


def test_with_vote_neither_solver_nor_checker_takes_part(finished, tmp_path, small_test_set, monkeypatch):
    monkeypatch.setattr(loop, "generate", mostly)
    key, base = Key(monkeypatch), f"{finished[0]}/base"
    made = loop.loop(settings(tmp_path, small_test_set, corrector="vote", base=base))
    assert len(made) == 3 and made[1]["steps"] == 3 and any(row["source"] == "vote" for row in rows(tmp_path / "loop", "memory"))
    assert {row["label_precision"] for row in made[1:]} - {0} and key.allowed == 0
    with pytest.raises(AssertionError, match="was looked up"):
        loop.loop(settings(tmp_path, small_test_set, corrector="solver", base=base, out=f"{tmp_path}/other"))


@pytest.fixture(scope="module")
def all_arms(tmp_path_factory, small_test_set):
    folder = tmp_path_factory.mktemp("arms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        patch.setattr(loop, "generate", coin)
        compare.arms(settings(folder, small_test_set, lr=0.02, full_lr=0.02, compare=",".join(ARMS), seeds="5"), loop.loop)
    return {arm: folder / "loop" / f"{arm}-5" for arm in ARMS}


def test_all_arms_have_the_same_steps_and_corrections_in_each_round(all_arms):
    made = {arm: rows(folder) for arm, folder in all_arms.items()}
    assert all(0 < row["wrong"] < row["asked"] for row in made["failure"][1:]) and len({made[arm][2]["wrong"] for arm in ARMS}) > 2  # they went apart
    for arm in set(ARMS) - {"static", "fresh"}:
        assert [(row["steps"], row["corrections"]) for row in made[arm]] == [(row["steps"], row["corrections"]) for row in made["failure"]]
    assert len({json.dumps([made[arm][0][name] for name in ("test_accuracy", "by_cell", "auroc", "generated_tokens")]) for arm in ARMS}) == 1
    assert {(row["steps"], row["corrections"], row["memory"], row["test_accuracy"]) for row in made["static"]} == {(0, 0, 0, made["static"][0]["test_accuracy"])}
    assert [row["steps"] for row in made["fresh"]] == [0, 3, 3] and made["fresh"][1]["corrections"] > 0 == made["fresh"][2]["memory"]


def test_each_arm_differs_in_what_it_should(all_arms):
    saved = {arm: len(list((folder / "adapters").iterdir())) for arm, folder in all_arms.items()}
    assert saved == {**dict.fromkeys(ARMS, 2), "full": 0, "static": 0}
    for arm, folder in all_arms.items():
        memory = rows(folder, "memory")
        bought = [(row["round"], solve(row["question"], row["family"]).target, row["completion"]) for row in memory if row["source"] == "solver"]
        assert Counter((n, truth) for n, truth, _ in bought) == Counter((n, text) for n, _, text in bought)
        assert (sum(truth != text for _, truth, text in bought) > len(bought) / 2) if arm == "corrupt" else all(truth == text for _, truth, text in bought)
        assert ({"own"} <= {row["source"] for row in memory}) == (arm not in ("random", "fresh", "static"))
        assert arm != "failure" or {row["kind"] for row in memory if row["source"] == "solver"} == {"wrong"}
        assert arm != "random" or {"right", "unsure"} & {row["kind"] for row in memory}


def test_a_finished_run_is_finished_and_may_get_more_rounds(finished, tmp_path, small_test_set):
    before = {path: path.read_bytes() for path in (finished[0] / "loop").rglob("*") if path.is_file()}
    done = run(finished[0], small_test_set)
    assert done.returncode == 0 and "is finished" in done.stderr and before == {path: path.read_bytes() for path in before}
    shutil.copytree(finished[0], tmp_path / "more")
    made = loop.loop(settings(finished[0], small_test_set, out=f"{tmp_path}/more/loop", rounds=3))
    assert [row["round"] for row in made] == [0, 1, 2, 3] and made[:3] == rows(finished[0] / "loop")
    assert json.loads(json.dumps(made)) == rows(tmp_path / "more" / "loop")


def test_a_run_of_other_settings_is_refused_in_one_sentence(finished, small_test_set):
    done = run(finished[0], small_test_set, "--lr", "0.5", "--corrector", "self")
    assert done.returncode == 1 and "corrector solver, not self" in done.stderr and "lr 0.0025, not 0.5" in done.stderr and "Traceback" not in done.stderr


def test_a_run_is_not_taken_for_a_base_nor_a_base_for_a_run(finished, tmp_path, small_test_set):
    folder = finished[0]
    for options in (("--base", f"{folder}/loop"), ("--out", f"{folder}/base", "--base", f"{tmp_path}/base")):
        before = {path: path.read_bytes() for path in Path(options[1]).rglob("*.*")}
        with pytest.raises(UserError, match="holds a"):
            loop.loop(settings(tmp_path, small_test_set, **dict(zip((name[2:] for name in options[::2]), options[1::2]))))
        assert {path: path.read_bytes() for path in Path(options[1]).rglob("*.*")} == before


def test_a_base_made_with_other_settings_is_refused(finished, tmp_path, small_test_set):
    with pytest.raises(UserError, match="n_layer 1, not 2"):
        loop.loop(settings(tmp_path, small_test_set, base=f"{finished[0]}/base", n_layer=2))
    assert not list((tmp_path / "loop").glob("m*"))


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (("loop.py", "--round", "3"), 2, "--rounds"),
        (("loop.py", "--arm", "failures"), 2, "failure"),
        (("loop.py", ""), 2, "--help"),
        (("loop.py", "--base", "runs/x", "--out", "./runs/x"), 2, "two folders"),
        (("loop.py", "--rounds", "-1"), 2, "outside"),
        (("loop.py", "--n_embd", "100"), 2, "multiple"),
        (("loop.py", "--compare", "failure,rnadom"), 2, "rnadom"),
        (("loop.py", "--test", "nowhere.jsonl"), 1, "nowhere.jsonl"),
        (("loop.py", "--out", "README.md/x"), 1, "README.md"),
        (("train.py", "--steps", "3"), 2, "--base_steps"),
        (("-m", "minisi", "ask", "what?"), 1, "no family"),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, arguments, code, words):
    done = python(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("run, question, words", [("nowhere", "3+4", "python loop.py"), ("nowhere", "3-44", "below zero")])
def test_a_question_that_cannot_be_asked_is_the_users_error(run, question, words):
    with pytest.raises(UserError, match=words):
        ask(run, question, "cpu")


def test_a_comparison_with_a_seed_of_its_own_is_the_users_error(monkeypatch):
    monkeypatch.setattr(loop, "GIVEN", {"compare": "random", "seed": 3}, raising=False)
    with pytest.raises(UserError, match="--seed"):
        loop.main()


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
