"""What a family of questions is.  `arithmetic.py` has the first three."""

from collections.abc import Generator
from random import Random

Solution = tuple[str, str]  # steps and answer
# A way through a question's parts: yields easier questions, is sent the solution of each, and
# returns the whole `steps|answer`.  ValueError or LookupError say that a reply does not fit.
Way = Generator[str, Solution, str]


def up_to(rng: Random, most: int) -> int:
    """A size from 1 to `most`, which is the commonest."""
    return rng.choice((most, most, rng.randint(1, most)))


class Family:
    """A kind of question and the tutor program that solves it.

    Each step of a solution needs only what stands nearby, and the answer is read off the steps.
    """

    pattern: str  # what its questions look like: a regular expression
    words: str = ""  # that its questions use, for the tokenizer

    def ask(self, rng: Random, level: int) -> str:
        """A new question of up to this level; levels are 1, 2, 3, ... without an upper end."""
        raise NotImplementedError

    def level(self, question: str) -> int:
        """The lowest level that asks such a question; 0 where none does."""
        raise NotImplementedError

    def solve(self, question: str) -> Solution:
        """(steps, answer), from the question's text alone, so that a typed question will do.

        Raises UserError where it can't be solved.
        """
        raise NotImplementedError

    def canonical(self, question: str) -> str:
        """One text for all questions that are the same problem; it decides the split."""
        return question

    def parts(self, question: str, rng: Random) -> Way:
        """How the question is taken apart; a family may have no way to do so, as here.

        What a model can do in parts it can learn to do at once: least-to-most prompting (Zhou et
        al. 2022, section 2) makes the labels, training on them is the distillation of Christiano
        et al. (2018).  Text is cut and joined: every sum, order and bit of the solution is the
        model's own; the program knows no sums but those of its padding.  It looks whether a reply
        is of what was asked.  Where there are several ways they are drawn, so that they check each
        other; where there is one, it asks in other words too.
        """
        raise ValueError("no way is known")
        yield  # which makes it a generator


def insist(fits: object) -> None:
    """ValueError where a reply does not fit what was asked."""
    if not fits:
        raise ValueError("the reply does not fit")


def forms(asked: str, steps: str, value: str) -> tuple[str, str]:
    """How the step of `asked`, an operation, may look: of two digits, or worked out in columns."""
    return f"{asked}={value}", f"{asked}:{steps}={value}"
