"""The record that travels: one question on its way through a round."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..tasks.problems import Problem, parse

if TYPE_CHECKING:
    from ..model.generate import Completion


class Verdict(NamedTuple):
    """What became of one answer."""

    kind: str  # `right`, `wrong`, `unsure` or `unparsable`
    confidence: float  # that it is right, 0 to 1
    flagged: bool  # whether it needs a correction


@dataclass
class Attempt:
    """A question and what is made of it.

    Each step of `play` fills in its part.
    """

    problem: Problem
    again: bool = False  # 1. whether it was asked before, and found no correction
    completion: "Completion | None" = None  # 2. what the model said
    verdict: Verdict | None = None  # 3. right or wrong, and how sure
    correction: str = ""  # 4. `steps|answer`; empty where nobody found one
    source: str = ""  # 4. who corrected, or `unsolved`; empty where nobody was asked

    @property
    def cell(self) -> str:
        """The family and level of its question, as in `add/3`."""
        return f"{self.problem.family}/{self.problem.level}"

    @property
    def draft(self) -> str:
        """What the model is likely to say: what it said before, or else what is right."""
        return self.completion.text if self.completion else self.correction

    def agrees(self) -> bool:
        """Whether the model's answer is that of the correction."""
        said = parse(self.completion.whole)
        return said is not None and said[1] == parse(self.correction)[1]
