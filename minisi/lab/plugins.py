"""A file of the user's own that adds arms, teachers or families, and whether they are what they
should be.
"""

import argparse
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from itertools import product
from pathlib import Path
from random import Random

from ..method.arms import Arm
from ..method.teacher import TEACHERS, UNSOLVED, Teacher
from ..run.config import FINETUNES
from ..run.runtime import Row, UserError
from ..tasks.families import FAMILIES, family_of, vocabulary_words
from ..tasks.family import Family
from ..tasks.problems import BAR, Problem
from .controls import ARMS

TABLES = (ARMS, TEACHERS, FAMILIES)
TRIED = list(product(range(1, 5), range(20)))  # levels and draws of a new family's questions


def plug_in(arguments: list[str]) -> None:
    """Run the file that `--plugin` names, before the options that it may add to are read.

    Ends the program in one sentence where there is no such file, or what it adds is no arm, teacher
    or family.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--plugin", action="append", default=[])
    paths = early.parse_known_args(arguments)[0].plugin
    if len(paths) > 1:
        sys.exit("error: give one --plugin: a file may import others")
    for path in filter(None, paths):
        spec = spec_from_file_location("plugin", path)
        if spec is None or not Path(path).is_file():
            sys.exit(f"error: --plugin {path}: there is no such Python file")
        run_file(path, spec)


def run_file(path: str, spec: ModuleSpec) -> None:
    """Run the user's file, and look at what it has added."""
    before = [dict(table) for table in TABLES]
    module = module_from_spec(spec)
    sys.modules["plugin"] = module
    spec.loader.exec_module(module)
    try:
        check(*map(added, TABLES, before))
    except UserError as error:
        sys.exit(f"error: --plugin {path}: {error}")


def added(table: Row, before: Row) -> Row:
    """What a table has that is new, or not what it was."""
    return {name: value for name, value in table.items() if before.get(name) is not value}


def check(arms: Row, teachers: Row, families: Row) -> None:
    """UserError says what is wrong with an arm, teacher or family."""
    for name, arm in arms.items():
        check_arm(name, arm)
    for name, teacher in teachers.items():
        if not (isinstance(teacher, type) and issubclass(teacher, Teacher)):
            raise UserError(f"TEACHERS[{name!r}] must be a subclass of Teacher")
        if name in (*ARMS, "base", "own", UNSOLVED):
            raise UserError(f"TEACHERS[{name!r}] has a name that is taken: give it another")
        if teacher.name != name:
            raise UserError(f"TEACHERS[{name!r}] has the name {teacher.name!r}: give both the same")
    for name, family in families.items():
        try:
            check_family(name, family)
        except (LookupError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
            raise UserError(f"{name} can't be asked: {error!r}") from error


def check_arm(name: str, arm: Arm) -> None:
    """UserError where an arm could not be played."""
    if not isinstance(arm, Arm):
        raise UserError(f"ARMS[{name!r}] must be an Arm")
    if name in (*TEACHERS, "base"):
        raise UserError(f"ARMS[{name!r}] has a name that is taken: give it another")
    if arm.finetune not in ("", *FINETUNES):
        raise UserError(f"finetune of ARMS[{name!r}] must be one of {', '.join(FINETUNES)}")
    given = [function for function in (arm.recalls, arm.opens) if function is not None]
    if not all(map(callable, (arm.pick, arm.alter, arm.asks, *given))):
        raise UserError(f"pick, alter, recalls, opens and asks of ARMS[{name!r}] must be functions")


def check_family(name: str, family: Family) -> None:
    """UserError where questions of a family are not what the rest relies on."""
    if not isinstance(family, Family):
        raise UserError(f"FAMILIES[{name!r}] must be an object of a subclass of Family")
    from ..model.tokenizer import Codec

    codec = Codec(vocabulary_words())
    for level, seed in TRIED:
        question = family.ask(Random(seed), level)
        if family_of(question) != name:
            raise UserError(f"{question!r} of {name} is taken for {family_of(question)}")
        if not 0 < family.level(question) <= level:
            raise UserError(
                f"{question!r} was asked by {name} at level {level}, and its level is"
                f" {family.level(question)}"
            )
        solution = family.solve(question)
        if len(solution) != 2 or not all(solution) or BAR in "".join(solution):
            raise UserError(
                f"{name} solves {question!r} by {solution!r}: it should be steps, answer"
            )
        problem = Problem(name, level, question)
        codec.encode([problem.prompt, problem.target])
