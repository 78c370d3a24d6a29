"""The frozen sets of questions: made once, asked by every run, and chosen by from none.

test         distinct problems, even over families and levels 1 to 4
typed        small questions as a person would type them
gpt3         ten arithmetic tasks of Brown et al. 2020, section 3.9.1, and two longer ones
outside      levels 5 to 8, which a run is never taught, unless it grows
repeated     a number of one digit again and again, or of a digit and zeros, and a small number
test_levels  as test, levels 1 to 12, for a run that grows
"""

import json
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from random import Random
from string import ascii_lowercase

from ..run.config import Config
from ..run.runtime import ROOT, Row, UserError, belonging
from ..tasks.families import FAMILIES, as_asked, chosen
from ..tasks.problems import PATIENCE, Problem, draw, identity, is_asked, solve, split_with

# What a person types.  s: 1 to 9; n: to 12; t: to 90; h: to 999; d: 0 to 7; c: letters.
TYPED = """
{n[0]}+{n[1]}
{n[0]}-{n[1]}
{n[0]}*{n[1]}
{n[0]} + {n[1]} =
{n[0]} - {n[1]}?
{n[0]} * {n[1]} = ?
{h[0]}+{n[0]}
{n[0]} + {h[0]}
{h[0]} - {n[0]}
{n[0]}-{h[0]}=
{h[0]}+{h[1]}
{h[0]} - {h[1]} = ?
{h[0]} * {n[0]}
{h[0]}+0
{t[0]} * {t[1]}
{n[0]}0 + {n[1]}0
{n[0]}00-{n[1]}
{n[0]}0*{n[1]}
99+{n[0]}
100 - {h[0]}
{n[0]}+{n[1]}+{n[2]}
{n[0]} + {n[1]} - {n[2]}
{s[0]}*{s[1]}+{s[2]}
{s[0]} + {s[1]}*{s[2]} =
{t[0]}-{n[0]}-{n[1]}
{t[0]} + {n[0]} - {t[1]}
({s[0]}+{s[1]})*{s[2]}
{s[0]} * ({s[1]} - {s[2]}) ?
-{n[0]}+{n[1]}
(({d[0]}+{d[1]})*{d[2]})-{d[3]}
Sort {d[0]} {d[1]} {d[2]}
sort {d[0]} {d[1]}
SORT {d[0]} {d[1]} {d[2]} {d[3]} ?
{d[0]} and {d[1]}
{d[0]}{d[1]} OR {d[2]}{d[3]}
( {d[0]} xor {d[1]} ) and {d[2]} ?
{c[0]}>{c[1]},{c[1]}>{c[2]} from {c[0]} 2
{c[0]} > {c[1]}, {c[2]} > {c[0]} From {c[2]} 1
{c[1]}>{c[2]},{c[2]}>{c[3]},{c[0]}>{c[1]} from {c[0]} 3?
Tom has {n[0]} apples, buys {n[1]}: how many?
ann has {t[0]} coins, spends {d[0]} : how many
Kim has {t[0]} eggs, eats {d[0]}, gets {d[1]} from Ben: how many?
"""
# GPT-3's tasks, and what the 175B model got of each with a few examples (table 3.9), in percent.
PUBLISHED = {"2D+": 100.0, "2D-": 98.9, "3D+": 80.4, "3D-": 94.2, "4D+": 25.5, "4D-": 26.8}
PUBLISHED |= {"5D+": 9.3, "5D-": 9.9, "2Dx": 29.2, "1DC": 21.3}
TASKS = (*PUBLISHED, "6D+", "6D-")
REPEATED = ("777+n", "700-n", "777777+n", "700000-n")  # 7: 1 to 9; n: 1 to 99
SOME = 8  # questions of each line of TYPED

Ask = Callable[[Random, str], Problem]  # a question of a task


def distinct(
    ask: Callable[[], Problem], count: int, taken: Container[str] = (), least: int = 0
) -> list[Problem]:
    """Up to `count` different problems of the test split, with identities that are not taken.

    UserError where there are fewer than `least`.
    """
    found = {}
    for _ in range(PATIENCE):
        if len(found) == count:
            break
        problem = ask()
        name = identity(problem.question, problem.family)
        if name not in taken and split_with(name) == "test":
            found.setdefault(name, problem)
    if len(found) < least:
        raise UserError(
            f"{problem.family} has only {len(found)} distinct problems of the test split at level"
            f" {problem.level}, where {least} are wanted: ask for fewer, or let them vary more"
        )
    return list(found.values())


def remedy(path: str | Path) -> str:
    """How to come to a set of questions in place of one that can't be read."""
    if belonging(path).resolve().is_relative_to(ROOT / "data"):
        return f"git checkout {path} restores it"
    return "a set of your own has rows as python -m minisi testset prints them"


def row(problem: Problem) -> Row:
    """What a file says of a problem."""
    name = identity(problem.question, problem.family)
    return {"id": name, **asdict(problem), "steps": problem.steps, "answer": problem.answer}


def read_set(path: str | Path) -> dict[str, list[Problem]]:
    """The problems of a file by task; every row is made anew, so a damaged file is refused."""
    found = {}
    try:
        for line in belonging(path).read_text().splitlines():
            told = json.loads(line)
            problem = Problem(told["family"], told["level"], told["question"])
            typed = as_asked(told.get("typed", problem.question))
            known = {**told, **row(problem)} == told and is_asked(problem)
            if not known or typed != problem.question:
                raise ValueError(f"not what it was made as: {problem.question}")
            if split_with(told["id"]) != "test":
                raise ValueError(f"not of the test split: {problem.question}")
            found.setdefault(told.get("task", Path(path).stem), []).append(problem)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        UserError,
        RecursionError,
    ) as error:
        raise UserError(f"cannot read the test set {path} ({error}): {remedy(path)}") from None
    return found


def read_sets(config: Config) -> tuple[list[Problem], dict[str, list[Problem]]]:
    """The test set of a run, and the sets beside it by their names."""
    families = chosen(config.base_families)
    tests = read_kept(config.test, families)
    if len(tests) != 1:
        raise UserError(
            f"{config.test} is no test set of {', '.join(families)}: {remedy(config.test)}"
        )
    (test,) = tests.values()
    sets = {}
    for path in filter(None, config.sets.split(",")):
        sets |= read_kept(path, families)
    return test, sets


def read_kept(path: str, families: list[str]) -> dict[str, list[Problem]]:
    """What a file has of these families, by task."""
    found = {
        task: [problem for problem in problems if problem.family in families]
        for task, problems in read_set(path).items()
    }
    return {task: problems for task, problems in found.items() if problems}


def cells(rng: Random, levels: Iterable[int], each: int) -> Iterator[Row]:
    """Rows of so many problems of each family and level."""
    taken = set()
    for family, level in product(FAMILIES, levels):
        ask = partial(draw, rng, "test", family, level)
        rows = list(map(row, distinct(ask, each, taken, each)))
        taken |= {row["id"] for row in rows}
        yield from rows


def outside(rng: Random) -> Iterator[Row]:
    """Rows of questions that no level below 5 asks."""
    for found in cells(rng, range(5, 9), 24):
        if FAMILIES[found["family"]].level(found["question"]) > 4:
            yield found


def type_in(rng: Random, line: str, texts: dict[Problem, str]) -> Problem:
    """A question that a line of TYPED makes; `texts` keeps how it was typed."""
    s = [rng.randint(1, 9) for _ in range(3)]
    n = [rng.randint(1, 12) for _ in range(3)]
    t = [rng.randint(10, 90) for _ in range(2)]
    h = [rng.randint(1, 999) for _ in range(2)]
    d = [rng.randrange(8) for _ in range(4)]
    text = line.format(s=s, n=n, t=t, h=h, d=d, c=rng.sample(ascii_lowercase, 4))
    problem = solve(as_asked(text))
    texts.setdefault(problem, text)
    return problem


def typed(rng: Random) -> Iterator[Row]:
    """Rows of what a person types: `typed` is the text as it came."""
    for line in TYPED.strip().splitlines():
        texts = {}
        for problem in distinct(partial(type_in, rng, line, texts), SOME):
            yield {**row(problem), "typed": texts[problem]}


def published(rng: Random, task: str) -> Problem:
    """A question of a task, by the paper's description: numbers uniform below a power of ten."""
    if task == "1DC":
        a, b, c = (rng.randrange(10) for _ in range(3))
        return solve(f"{a}{rng.choice('+-*')}({b}{rng.choice('+-*')}{c})")
    digits, _, sign = task
    a, b = (rng.randrange(10 ** int(digits)) for _ in range(2))
    return solve(f"{a}{sign.replace('x', '*')}{b}")


def alike(rng: Random, task: str) -> Problem:
    """A question of a task such as `777+n`, with another digit for 7 and a small number for n."""
    digit = rng.randint(1, 9)
    number = rng.randint(1, 99)
    return solve(task.replace("7", str(digit)).replace("n", str(number)))


def by_task(rng: Random, tasks: Iterable[str], ask: Ask, each: int) -> Iterator[Row]:
    """Rows of so many problems of each task."""
    for task in tasks:
        for problem in distinct(partial(ask, rng, task), each):
            yield {**row(problem), "task": task}


SETS = {
    "test": partial(cells, levels=range(1, 5), each=64),
    "typed": typed,
    "gpt3": partial(by_task, tasks=TASKS, ask=published, each=200),
    "outside": outside,
    "repeated": partial(by_task, tasks=REPEATED, ask=alike, each=100),
    "test_levels": partial(cells, levels=range(1, 13), each=24),
}


def make_set(name: str) -> Iterator[str]:
    """The lines of a file of data/."""
    yield from map(json.dumps, SETS[name](Random(f"minisi {name} set")))


def own_set(levels: int, count: int, seed: int) -> Iterator[str]:
    """The lines of another test set, even over families and levels 1 to `levels`.

    There are about `count` problems: all cells have as many, and at least one.
    """
    each = max(1, count // (levels * len(FAMILIES)))
    rng = Random(f"own set {seed}")
    yield from map(json.dumps, cells(rng, range(1, levels + 1), each))
