"""Problems: drawn from a family, put in a split, solved by the tutor program, and checked."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from ..run.runtime import UserError
from .families import FAMILIES, family_of, matching

BAR = "|"  # ends the question, and ends the steps
SPLITS = ("test", "dev", "train", "train", "train")  # a fifth of all problems each
PATIENCE = 10_000  # draws after which a family is taken to have no more problems


@dataclass(frozen=True, slots=True)
class Problem:
    """A question; the tutor program works it out when asked for, and not before."""

    family: str
    level: int  # 0 where no level asks such a question
    question: str

    @property
    def steps(self) -> str:
        """The worked solution up to the answer."""
        return FAMILIES[self.family].solve(self.question)[0]

    @property
    def answer(self) -> str:
        """The key."""
        return FAMILIES[self.family].solve(self.question)[1]

    @property
    def target(self) -> str:
        """What the model should write; the end-of-text token follows it."""
        return BAR.join(FAMILIES[self.family].solve(self.question))

    @property
    def prompt(self) -> str:
        """What the model reads."""
        return prompt_of(self.question)


def prompt_of(question: str) -> str:
    """The text before the model's own, for training and asking alike."""
    return question + BAR


def solve(question: str) -> Problem:
    """A problem of any question that some family can solve; UserError where none can."""
    family = family_of(question)
    FAMILIES[family].solve(question)
    return Problem(family, FAMILIES[family].level(question), question)


def parse(text: str) -> tuple[str, str] | None:
    """(steps, answer) of a completion `steps|answer`; None for anything else."""
    steps, _, said = text.partition(BAR)
    return (steps, said) if steps and said and BAR not in said else None


def check(answer: str, text: str) -> str:
    """`right` or `wrong` for `steps|answer`, by its final answer alone; else `unparsable`."""
    parsed = parse(text)
    if parsed is None:
        return "unparsable"
    return "right" if parsed[1] == answer else "wrong"


def identity(question: str, family: str = "") -> str:
    """16 hex digits that are the same for all wordings of one problem.

    Operands swapped, facts or list shuffled, people renamed: it is one problem.
    """
    canonical = FAMILIES[family or family_of(question)].canonical(question)
    return hashlib.blake2b(canonical.encode(), digest_size=8, key=b"minisi split").hexdigest()


def split_of(question: str, family: str = "") -> str:
    """`train` (60 % of all problems), `dev` or `test` (20 %): the problem's own, of no seed."""
    return split_with(identity(question, family))


def split_with(name: str) -> str:
    """The split of the problem with this identity."""
    return SPLITS[int(name, 16) % len(SPLITS)]


def draw(rng: Random, split: str, family: str, level: int) -> Problem:
    """A fresh problem of the split; UserError where the family seems to have none."""
    for _ in range(PATIENCE):
        question = FAMILIES[family].ask(rng, level)
        if split_of(question, family) == split:
            return Problem(family, level, question)
    raise UserError(f"{family} has no problem of the {split} split at level {level}")


def repeated(rng: Random, split: str, problem: Problem) -> Problem:
    """The problem with other digits in about half of its numbers: 777, 700 or 799 for 742."""
    return reworded(split, problem, re.sub(r"\d+", partial(repeat, rng), problem.question))


def unbracketed(split: str, problem: Problem) -> Problem:
    """The problem without needless brackets."""
    return reworded(split, problem, fewer_brackets(problem.question, problem.family))


def fewer_brackets(question: str, family: str) -> str:
    """`(2*(3-1))-6` as `2*(3-1)-6`, the same problem; brackets are one within the other."""
    outermost = re.fullmatch(r"([^(]*)\((.*)\)([^)]*)", question)
    if not outermost:
        return question
    before, inside, behind = outermost.groups()
    inside = fewer_brackets(inside, family)
    fewer = f"{before}{inside}{behind}"
    same = identity(fewer, family) == identity(question, family)
    return fewer if same else f"{before}({inside}){behind}"


def reworded(split: str, problem: Problem, question: str) -> Problem:
    """The problem with this question, if that is of its split, and of up to its level."""
    other = replace(problem, question=question)
    return other if is_asked(other) and split_of(question, problem.family) == split else problem


def is_asked(problem: Problem) -> bool:
    """Whether its level, or a lower one, asks such a question."""
    if matching(problem.question) != problem.family:
        return False
    try:
        return 0 < FAMILIES[problem.family].level(problem.question) <= problem.level
    except UserError:  # a story of somebody who gives more than he has, a chain that is too short
        return False


def repeat(rng: Random, number: re.Match) -> str:
    """The number, or one as long such as 777, 700 or 799: each half of the time."""
    first, *others = number[0]
    if rng.random() < 0.5:
        return number[0]
    return first + rng.choice("09" + first) * len(others)


def balanced(
    rng: Random,
    split: str,
    levels: int,
    count: int,
    families: Iterable[str] = FAMILIES,
    lowest: int = 1,
) -> list[Problem]:
    """`count` fresh problems of the split, shuffled, even over families and levels to `levels`."""
    cells = [(family, level) for level in range(lowest, levels + 1) for family in families]
    rng.shuffle(cells)  # so that a count that leaves some out leaves out others each time
    problems = [draw(rng, split, *cells[i % len(cells)]) for i in range(count)]
    rng.shuffle(problems)
    return problems


def beyond(
    rng: Random, split: str, levels: int, count: int, families: Iterable[str] = FAMILIES
) -> list[Problem]:
    """Up to `count` fresh problems of the level above `levels`, which no lower level asks."""
    above = levels + 1
    problems = balanced(rng, split, above, count, families, above)
    return [p for p in problems if FAMILIES[p.family].level(p.question) == above]
