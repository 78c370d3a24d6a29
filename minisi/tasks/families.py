"""The families of questions that the world has.  A new one is a class, and a name in this list."""

import re

from ..run.runtime import UserError
from .arithmetic import Add, Mul, Sub
from .expressions import Expr, Logic
from .sequences import Chain, Sort
from .stories import Story

KNOWN = (Add, Sub, Mul, Expr, Sort, Logic, Chain, Story)
FAMILIES = {kind.__name__.lower(): kind() for kind in KNOWN}
LONGEST = 500  # characters of a question


def matching(question: str) -> str:
    """The family whose pattern the question matches; empty where none does."""
    for name, family in FAMILIES.items():
        if len(question) < LONGEST and re.fullmatch(family.pattern, question):
            return name
    return ""


def family_of(question: str) -> str:
    """The family whose pattern the question matches; raises UserError where none does."""
    family = matching(question)
    if not family:
        raise UserError(
            f"no family can solve {question!r}: the README shows a question of each, such as"
            " '347+586'"
        )
    return family


def as_asked(text: str) -> str:
    """A question as families write it, from what a person typed.

    Capitals, needless spaces and a `=` or `?` at the end don't matter; a space between two digits
    does.  What is no question of any family comes back as it was typed.
    """
    plain = " ".join(text.lower().split())
    bare = plain.rstrip(" =?")
    tight = re.sub(r"(?<!\d) | (?!\d)", "", bare)
    return next(filter(matching, (plain, bare, f"{bare}?", tight)), text)


def vocabulary_words() -> list[str]:
    """The words that the families declare, for the tokenizer."""
    return sorted({word for family in FAMILIES.values() for word in family.words.split()})
