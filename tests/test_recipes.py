"""The README's recipes, as they stand, and what is said of others that don't keep their word."""

import json

import pytest

from .programs import ROOT, options, program, rows

RECIPES = ROOT / "tests" / "recipes"
README = (ROOT / "README.md").read_text()
QUICK = ["--rounds", "1", "--base_steps", "2", "--n_embd", "8", "--n_hidden", "8"]


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.py")), ids=lambda path: path.stem)
def test_the_readme_shows_them(path):
    assert f"```python\n{path.read_text()}```" in README
    assert f"tests/recipes/{path.name}" in README


def run(folder, test, recipe, *more):
    """A tiny run with a recipe."""
    path = RECIPES / f"my_{recipe}.py"
    given = options(folder, test)
    if "--compare" in more:
        place = given.index("--base")
        del given[place : place + 2]
    return program("loop.py", *given, *QUICK, "--plugin", str(path), *more)


def test_an_arm_is_compared(tmp_path, small_test_set):
    done = run(tmp_path, small_test_set, "arm", "--compare", "doubtful", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "loop" / "compare.json").read_text())
    assert [row["arm"] for row in found["arms"]] == ["failure", "doubtful"]


def test_a_teacher_corrects(tmp_path, small_test_set):
    done = run(tmp_path, small_test_set, "teacher", "--corrector", "hasty")
    assert done.returncode == 0, done.stderr
    memory = rows(tmp_path / "loop", "memory")
    assert {row["source"] for row in memory} == {"hasty", "unsolved"}
    assert max(len(row["completion"]) for row in memory) < 40


def test_a_family_is_learned_tested_and_asked(tmp_path):
    plugin = ["--plugin", str(RECIPES / "my_family.py")]
    made = program("-m", "minisi", "testset", "--levels", "2", "--count", "36", *plugin)
    test = tmp_path / "test.jsonl"
    test.write_text(made.stdout)
    done = run(tmp_path, test, "family", "--levels", "2", "--base_levels", "2")
    assert done.returncode == 0, done.stderr
    assert "twice" in {row["family"] for row in rows(tmp_path / "loop", "memory")}
    assert "twice" in rows(tmp_path / "loop")[-1]["by_family"]

    asked = program("-m", "minisi", "ask", "twice 41", "--run", f"{tmp_path}/loop", *plugin)
    assert "the answer is 82" in asked.stdout, asked.stderr
    without = program("-m", "minisi", "ask", "3+4", "--run", f"{tmp_path}/loop")
    assert f"it was made with --plugin {plugin[1]}: give that" in without.stderr
    assert f"--plugin {plugin[1]}" in done.stdout.splitlines()[-1]


def test_an_old_base_that_does_not_know_a_family_is_refused_with_the_remedy(
    finished, tmp_path, small_test_set
):
    given = options(finished.folder, small_test_set)
    plugin = ["--plugin", str(RECIPES / "my_family.py")]
    done = program("loop.py", *given, *plugin, "--out", f"{tmp_path}/new")
    assert done.returncode == 1
    assert "other families of questions" in done.stderr
    assert "name another folder" in done.stderr
    assert "delete" not in done.stderr
    assert "Traceback" not in done.stderr


ASKING = """class X(Add):
    pattern = r"[x%]\\d+"
    def ask(self, rng, level): return "{asked}"
    def level(self, question): return {level}
    def solve(self, question): return {solved}
FAMILIES["x"] = X()"""
BROKEN = {
    "ARMS['x'] = 3": "must be an Arm",
    "ARMS['vote'] = ARMS['random']": "has a name that is taken",
    "ARMS['base'] = ARMS['random']": "has a name that is taken",
    "ARMS['x'] = ARMS['random']._replace(pick=3)": "must be functions",
    "ARMS['x'] = ARMS['random']._replace(opens=True)": "must be functions",
    "ARMS['x'] = ARMS['random']._replace(recalls='x')": "must be functions",
    "ARMS['x'] = ARMS['random']._replace(finetune='qlora')": "must be one of lora, full",
    "TEACHERS['x'] = 3": "must be a subclass of Teacher",
    "TEACHERS['random'] = type('X', (Teacher,), {'name': 'random'})": "has a name that is taken",
    "TEACHERS['own'] = type('X', (Teacher,), {'name': 'own'})": "has a name that is taken",
    "TEACHERS['x'] = type('X', (Teacher,), {'name': 'y'})": "give both the same",
    "FAMILIES['x'] = Add": "must be an object of a subclass of Family",
    "FAMILIES['x'] = Add()": "is taken for add",
    "FAMILIES['x'] = Family()": "can't be asked",
    ASKING.format(asked="x1", level=9, solved=("1", "1")): "its level is 9",
    ASKING.format(asked="x1", level=1, solved=("1", "")): "it should be steps, answer",
    ASKING.format(asked="%1", level=1, solved=("1", "1")): "alphabet",
}
HEAD = """from minisi.lab.controls import ARMS
from minisi.method.teacher import TEACHERS, Teacher
from minisi.tasks.arithmetic import Add
from minisi.tasks.families import FAMILIES
from minisi.tasks.family import Family
"""


@pytest.mark.parametrize("body", BROKEN, ids=BROKEN.get)
def test_a_broken_promise_is_told_at_once(body, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(HEAD + body)
    done = program("loop.py", "--plugin", str(path), "--help")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: --plugin {path}: ")
    assert BROKEN[body] in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["none.py", "notes.txt"])
def test_a_plugin_that_is_none_is_one_sentence(name):
    done = program("loop.py", "--plugin", name)
    assert "there is no such Python file" in done.stderr
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert name in done.stderr
