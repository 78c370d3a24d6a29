"""The frozen test set: made once, read by every run, and chosen from by none."""

import json
from collections.abc import Container, Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from ..run.runtime import UserError
from ..tasks.families import FAMILIES
from ..tasks.problems import PATIENCE, Problem, draw, identity, split_of


def distinct(
    rng: Random, family: str, level: int, count: int, taken: Container[str] = ()
) -> list[Problem]:
    """`count` different problems of the test split, none of them with an identity that is taken.

    UserError where there are too few.
    """
    found = {}
    for _ in range(PATIENCE):
        problem = draw(rng, "test", family, level)
        name = identity(problem.question, family)
        if name not in taken:
            found.setdefault(name, problem)
        if len(found) == count:
            return list(found.values())
    raise UserError(
        f"{family} has only {len(found)} distinct problems of the test split at level {level},"
        f" where {count} are wanted: let its questions vary more"
    )


def row(problem: Problem) -> dict[str, Any]:
    """What the file says of a problem."""
    name = identity(problem.question, problem.family)
    return {"id": name, **asdict(problem), "steps": problem.steps, "answer": problem.answer}


def make_test_set(count: int = 2048, levels: int = 4) -> Iterator[str]:
    """The lines of data/test.jsonl: distinct problems, even over families and levels."""
    rng = Random("minisi test set")
    each = count // (len(FAMILIES) * levels)
    taken = set()
    for family, level in product(FAMILIES, range(1, levels + 1)):
        rows = [row(problem) for problem in distinct(rng, family, level, each, taken)]
        taken |= {row["id"] for row in rows}
        yield from map(json.dumps, rows)


def read_test_set(path: str | Path) -> list[Problem]:
    """The problems of the test set; every row is made anew, so a damaged file is refused."""
    try:
        rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
        found = [Problem(r["family"], r["level"], r["question"]) for r in rows]
        whole = [row(problem) for problem in found] == rows
        splits = {split_of(problem.question) for problem in found}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, UserError) as error:
        raise UserError(
            f"cannot read the test set {path} ({error}): git checkout {path} restores it"
        ) from None
    if not whole or splits != {"test"}:
        raise UserError(f"the test set {path} is damaged: git checkout {path} restores it")
    return found
