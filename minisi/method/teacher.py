"""The one door for the answer key: all that a run may learn of right answers passes through here.

`Solver` knows the worked solution, `Checker` says right or wrong, `Nobody` says nothing.  Where no
solution is known, the model's own answers to parts of a question are put together; see
`Family.parts` for what that is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..run.runtime import chunks, dice, torch_dice
from ..tasks.families import FAMILIES
from ..tasks.family import Way
from ..tasks.problems import Problem, check, parse, prompt_of
from .attempt import Attempt

if TYPE_CHECKING:
    from ..run.config import Config
    from .student import Student

Stream = tuple[str, int]  # a use of randomness: purpose and round
Reply = tuple[str, str] | None  # (steps, answer), or nothing that can be read
UNSOLVED = "unsolved"  # the source where nobody found a correction


@dataclass
class Teacher:
    """What the three teachers have in common."""

    config: Config
    student: Student
    name = ""  # the source of its corrections
    caution = 1.0  # how many times recall counts as much as precision in what the detector flags

    def says(self, attempt: Attempt) -> bool | None:
        """Whether the answer is right; None where there is nobody to ask."""
        raise NotImplementedError

    def solutions(self, problems: list[Problem], stream: Stream) -> list[str]:
        """A worked solution `steps|answer` of each problem, or an empty text."""
        raise NotImplementedError

    def correct(self, attempts: list[Attempt], stream: Stream) -> None:
        """Fill in the corrections."""
        solutions = self.solutions([attempt.problem for attempt in attempts], stream)
        for attempt, solution in zip(attempts, solutions, strict=True):
            attempt.correction = solution
            attempt.source = self.name if solution else UNSOLVED

    def markable(self, attempts: list[Attempt], stream: Stream) -> list[Attempt]:
        """The dev questions whose answers it can mark."""
        return attempts

    def by_parts(self, problems: list[Problem], stream: Stream) -> list[list[str]]:
        """`--samples` texts of each problem, put together from the model's answers to its parts.

        Empty where a way led nowhere.
        """
        rng = dice(self.config.seed, *stream)
        ways = []
        for problem in problems:
            parts = FAMILIES[problem.family].parts
            ways += [parts(problem.question, rng) for _ in range(self.config.samples)]
        return chunks(together(ways, self.ask), self.config.samples)

    def ask(self, questions: list[str]) -> list[Reply]:
        """What the model says to the parts."""
        completions = self.student.complete([prompt_of(question) for question in questions])
        return [parse(completion.whole) for completion in completions]


class Checker(Teacher):
    """Says right or wrong, by the final answer, and no more."""

    name = "self"

    def accepts(self, problem: Problem, text: str) -> bool:
        """Whether `steps|answer` ends in the right answer."""
        return check(problem.answer, text) == "right"

    def says(self, attempt: Attempt) -> bool | None:
        """It knows of every answer."""
        return self.accepts(attempt.problem, attempt.completion.whole)

    def solutions(self, problems: list[Problem], stream: Stream) -> list[str]:
        """What the model says in parts or when sampled, if it is accepted.

        Two of the texts must agree in every step, for a right answer can come of wrong steps.
        """
        count = self.config.samples
        prompts = [problem.prompt for problem in problems for _ in range(count)]
        device = self.student.model.head.weight.device
        generator = torch_dice(device, self.config.seed, *stream)
        heat = self.config.temperature
        drawn = self.student.complete(prompts, temperature=heat, generator=generator)
        samples = chunks([completion.whole for completion in drawn], count)
        parts = self.by_parts(problems, stream)
        found = []
        for problem, made, said in zip(problems, parts, samples, strict=True):
            accepted = [text for text in made + said if self.accepts(problem, text)]
            found.append(agreed(accepted, 2))
        return found


class Solver(Checker):
    """The tutor program: knows the worked solution of every question."""

    name = "solver"

    def solutions(self, problems: list[Problem], stream: Stream) -> list[str]:
        """The worked solutions; the model is not asked."""
        return [problem.target for problem in problems]


class Nobody(Teacher):
    """Knows nothing: what the model agrees with itself on, by parts, stands for the key."""

    name = "vote"
    caution = 3.0  # a wrong answer that passes is replayed as a right one

    def says(self, attempt: Attempt) -> bool | None:
        """Whether the answer is what was agreed on, where there was a vote."""
        return attempt.agrees() if attempt.correction else None

    def solutions(self, problems: list[Problem], stream: Stream) -> list[str]:
        """What three of four ways through a question's parts agree on, step for step."""
        least = 0.75 * self.config.samples
        return [agreed(texts, least) for texts in self.by_parts(problems, stream)]

    def markable(self, attempts: list[Attempt], stream: Stream) -> list[Attempt]:
        """Those that the model agrees with itself on."""
        self.correct(attempts, stream)
        return [attempt for attempt in attempts if attempt.correction]


TEACHERS = {teacher.name: teacher for teacher in (Solver, Checker, Nobody)}


def agreed(texts: list[str], least: float) -> str:
    """The commonest text, step for step the same, if it comes at least so often."""
    counts = Counter(text for text in texts if text)
    text, count = max(counts.items(), key=lambda item: item[1], default=("", 0))
    return text if count >= least else ""


def together(ways: list[Way], ask: Callable[[list[str]], list[Reply]]) -> list[str]:
    """Go all ways side by side, a batch of questions at a time.

    Returns what each came to: an empty text where a way leads nowhere.
    """
    texts = [""] * len(ways)
    replies: dict[int, Reply] = dict.fromkeys(range(len(ways)))
    while replies:
        questions = {}
        for i, reply in replies.items():
            try:
                questions[i] = ways[i].send(reply)
            except StopIteration as end:
                texts[i] = end.value or ""
            except (ValueError, LookupError):
                continue  # the reply does not fit
        said = zip(questions, ask(list(questions.values())), strict=True)
        replies = {i: reply for i, reply in said if reply}
    return texts
