"""The families of questions that the world has.  A new one is a class, and a name in this list."""

import re

from ..run.runtime import UserError
from .arithmetic import Add, Mul, Sub
from .expressions import Expr, Logic
from .family import Family
from .sequences import Chain, Sort
from .stories import Story

KNOWN = (Add(), Sub(), Mul(), Expr(), Sort(), Logic(), Chain(), Story())
FAMILIES: dict[str, Family] = {type(family).__name__.lower(): family for family in KNOWN}
LONGEST = 500  # characters of a question


def family_of(question: str) -> str:
    """The family whose pattern the question matches; raises UserError where none does."""
    for name, family in FAMILIES.items():
        if len(question) < LONGEST and re.fullmatch(family.pattern, question):
            return name
    raise UserError(
        f"no family can solve {question!r}: the README shows a question of each, such as '347+586'"
    )


def vocabulary_words() -> list[str]:
    """The words that the families declare, for the tokenizer."""
    return sorted({word for family in FAMILIES.values() for word in family.words.split()})
