"""The rules of the house: rooms in their order, short functions, a README that tells the truth."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

from minisi.lab.controls import ARMS
from minisi.lab.results import results
from minisi.method.teacher import TEACHERS
from minisi.tasks.families import FAMILIES
from minisi.tasks.problems import solve

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ORDER = {  # a room imports only from rooms above it, a module only from those named before it
    "run": "runtime config files ranks checkpoint journal progress",
    "tasks": "family arithmetic expressions bits sequences stories families problems",
    "model": "tokenizer gpt lora optim trainer generate",
    "method": "attempt student teacher detect memory arms run finetune gate",
    "lab": "statistics evaluate controls plugins testset pictures report growth results jobs"
    " compare bench ask peers export",
}
MODULES = [f"{room}.{name}" for room, names in ORDER.items() for name in names.split()]
FILES = [ROOT / "loop.py", ROOT / "train.py", *(ROOT / "minisi").rglob("*.py")]
TOP_LEVEL = {
    *("README.md", "LICENSE", "requirements.txt", "pyproject.toml", "loop.py", "train.py"),
    *("minisi", "data", "tests", ".ci", ".gitignore"),
}


def path_of(module):
    return ROOT / "minisi" / f"{module.replace('.', '/')}.py"


def imported(path):
    """The project's modules that a module of a room imports, with their rooms."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        names = [alias.name for alias in node.names]
        if node.level == 1:  # from .module import x, or from . import module
            found |= {f"{path.parent.name}.{name}" for name in [node.module or names[0]]}
        elif "." in node.module:  # from ..room.module import x
            found.add(node.module)
        else:  # from ..room import module
            found |= {f"{node.module}.{name}" for name in names}
    return found


def test_every_module_has_its_place_in_a_room():
    found = {str(path.relative_to(ROOT / "minisi")) for path in (ROOT / "minisi").rglob("*.py")}
    rooms = {f"{room}/__init__.py" for room in ORDER}
    modules = {f"{module.replace('.', '/')}.py" for module in MODULES}
    assert found == {"__init__.py", "__main__.py", *rooms, *modules}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_modules_before_it(module):
    before = MODULES[: MODULES.index(module)]
    assert imported(path_of(module)) <= set(before)


def test_the_readme_names_all_modules_in_their_order():
    for room, names in ORDER.items():
        (row,) = re.findall(rf"^\| `minisi/{room}/` \| (.*) \|$", README, re.MULTILINE)
        assert re.findall(r"`(\w+)`", row) == names.split()


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    source = path.read_text()
    assert source.count("\n") <= 300
    for node in functions(ast.parse(source)):
        assert node.end_lineno - node.lineno < 40, node.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_functions_are_documented_and_typed(path):
    tree = ast.parse(path.read_text())
    inner = {id(f) for outer in functions(tree) for f in functions(outer)[1:]}
    for node in functions(tree):
        arguments = [a for a in node.args.args + node.args.kwonlyargs if a.arg != "self"]
        assert node.returns is not None, node.name
        assert all(argument.annotation for argument in arguments), node.name
        documented = ast.get_docstring(node) or node.name == "__init__" or id(node) in inner
        assert documented, node.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_rule_is_an_assert_which_python_leaves_out_under_O(path):
    tree = ast.parse(path.read_text())
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def test_no_arm_is_asked_for_by_name_outside_of_its_table():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and path.parent.name != "lab":
                values = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                assert not {*ARMS, "solver", "vote"} & set(map(str, values)), path


# What knows or works out right answers.
KEY = {"target", "work", "column", "columns", "reduce", "FAMILIES"}
SOLVING = {"solve", "check", "operation", "hashed", "FAMILIES"}


@pytest.mark.parametrize("name", [n for n in ORDER["method"].split() if n != "teacher"])
def test_in_the_method_the_teacher_alone_has_the_key(name):
    tree = ast.parse(path_of(f"method.{name}").read_text())
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert not {node.attr for node in used} & KEY
    of_problems = {
        ast.unparse(node) for node in used if ast.unparse(node.value).endswith("problem")
    }
    assert not {text.split(".")[-1] for text in of_problems} & {"answer", "steps"}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    taken = {alias.name for node in imports for alias in node.names}
    assert not taken & SOLVING


def test_the_readmes_problems_are_what_the_solver_says():
    rows = re.findall(r"^    (\w+) +([^|\n]+)\|([^|\n]+\|[^|\n]+)$", README, re.MULTILINE)
    assert {family for family, _, _ in rows} == set(FAMILIES)
    for family, question, target in rows:
        problem = solve(question)
        assert (problem.family, problem.target) == (family, target)


def test_the_readme_has_a_line_for_every_arm_and_corrector():
    rows = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)
    assert sorted(rows) == sorted([*ARMS, *TEACHERS])


@pytest.mark.parametrize(
    ("page", "figures"),
    [
        ("RESULTS.md", "compare.json"),
        ("GROWTH.md", "growth.json"),
        ("growth_cpu/RESULTS.md", "growth_cpu/compare.json"),
        ("growth_repeated/RESULTS.md", "growth_repeated/compare.json"),
    ],
)
def test_the_results_are_those_of_the_committed_comparisons(page, figures):
    found = json.loads((ROOT / "data" / figures).read_text())
    assert (ROOT / "data" / page).read_text() == results(found)


def test_the_readme_tells_the_means_of_the_committed_comparison():
    found = json.loads((ROOT / "data" / "compare.json").read_text())
    means = {arm["arm"]: f"{arm['test_accuracy']:.3f}" for arm in found["arms"]}
    told = re.findall(r"^\| `(\w+)` \| .* \| (0\.\d+) \(\d\) \|", README, re.MULTILINE)
    taught = {arm: mean for arm, mean in means.items() if arm in TEACHERS}
    assert taught
    assert all(mean in README for mean in taught.values())
    assert dict(told) == {arm: mean for arm, mean in means.items() if arm in ARMS}


def test_nothing_unexpected_stands_at_the_top_level():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("no git here")
    assert {name.split("/")[0] for name in tracked.stdout.splitlines()} <= TOP_LEVEL
