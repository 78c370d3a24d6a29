"""The rules of the house: import order, line budget, the README's figures about the code."""

import ast
import json
import re
from pathlib import Path

import pytest

from minisi.compare import markdown
from minisi.config import ARMS, CORRECTORS
from minisi.families import FAMILIES
from minisi.tasks import solve

ROOT = Path(__file__).parents[1]
ORDER = (
    "config runtime families tasks parts tokenizer model optim lora generate detect correct memory arms trainer evaluate checkpoint report compare __main__"
).split()
FILES = [*(ROOT / "minisi" / f"{name}.py" for name in ORDER), ROOT / "train.py", ROOT / "loop.py"]


def imports(path: Path) -> set[str]:
    nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom) and n.level]
    return {(n.module or alias.name).split(".")[0] for n in nodes for alias in n.names}


def test_the_list_is_complete():
    assert {p.stem for p in (ROOT / "minisi").glob("*.py")} == {*ORDER, "__init__"}


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_from_modules_above_it(name):
    later = ORDER[ORDER.index(name) :]
    assert not imports(ROOT / "minisi" / f"{name}.py") & set(later)


def test_the_line_budget_holds():
    sizes = {path.name: path.read_text().count("\n") for path in FILES}
    assert sum(sizes.values()) < 2000
    assert {name: n for name, n in sizes.items() if n > 250} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_functions_are_short_and_public_ones_documented_and_typed(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 50, node.name
    top = ast.parse(path.read_text()).body
    methods = [m for n in top if isinstance(n, ast.ClassDef) for m in n.body]
    for node in [n for n in top + methods if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]:
        arguments = [a for a in node.args.args + node.args.kwonlyargs if a.arg not in ("self", "cls")]
        assert node.returns is not None and all(a.annotation for a in arguments), f"{node.name} lacks types"
        family = path.name == "families.py" and node.name in ("ask", "solve", "canonical")
        assert family or ast.get_docstring(node), f"{node.name} lacks a docstring"


def test_the_readme_gives_the_true_line_counts():
    rows = dict(re.findall(r"^\| `([\w./]+\.py)` \| (\d+) \|", (ROOT / "README.md").read_text(), re.M))
    truth = {str(path.relative_to(ROOT)): str(path.read_text().count("\n")) for path in FILES}
    assert rows == truth


def test_the_readmes_problems_are_what_the_solver_says():
    rows = re.findall(r"^    (\w+) +([^|\n]+)\|([^|\n]+\|[^|\n]+)$", (ROOT / "README.md").read_text(), re.M)
    assert {family for family, _, _ in rows} == set(FAMILIES)
    for family, question, target in rows:
        assert solve(question).target == target and solve(question).family == family


def test_the_readme_has_a_line_for_every_arm_and_corrector():
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.M)
    assert sorted(rows) == sorted(ARMS + CORRECTORS)


def test_nothing_unexpected_stands_at_the_top_level():
    allowed = {"README.md", "requirements.txt", "minisi", "train.py", "loop.py", "tests", "data", ".ci", ".gitignore", ".git", "runs", ".venv"}
    assert {p.name for p in ROOT.iterdir() if "cache" not in p.name} <= allowed


def test_the_readme_shows_the_committed_comparison():
    found = json.loads((ROOT / "data" / "compare.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert markdown(found) in readme and found["command"] in readme
