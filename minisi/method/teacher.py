"""The one door for the answer key: all that a run may learn of right answers passes through here.

`Solver` knows the worked solution, `Checker` says right or wrong, `Nobody` says nothing.  Where no
solution is known, the model's own answers to parts of a question are put together; see
`Family.parts` for what that is.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING

from ..run.config import Config
from ..run.runtime import UserError, chunks, dice, torch_dice
from ..tasks.families import FAMILIES, family_of
from ..tasks.family import Way
from ..tasks.problems import BAR, Problem, check, parse, prompt_of
from .attempt import Attempt

if TYPE_CHECKING:
    from .student import Student

Stream = tuple[str, int]  # a use of randomness: purpose and round
Reply = tuple[str, str] | None  # (steps, answer), or nothing that can be read
Ask = Callable[[list[str]], list[Reply]]
UNSOLVED = "unsolved"  # the source where nobody found a correction


@dataclass
class Teacher:
    """A teacher without the key, for which what the model agrees with itself on stands.

    Another teacher has its own `says`, `vouches`, `solutions` or `markable`.
    """

    config: Config
    student: "Student"
    name = ""  # the source of its corrections
    verdicts = 0  # answers of this round that it called right or wrong by the key
    caution = 1.0  # how many times recall counts as much as precision in what the detector flags

    def says(self, attempt: Attempt) -> bool | None:
        """Whether the answer is right, or was agreed on; None where there is nobody to ask."""
        return attempt.agrees() if attempt.correction else None

    def vouches(self, attempt: Attempt) -> bool:
        """Whether the answer may be learned, steps and all: here if it is right and sure.

        A right answer that is unsure often has wrong steps.
        """
        return attempt.verdict.kind == "right"

    def solutions(self, problems: list[Problem], stream: Stream) -> list[str]:
        """A worked solution `steps|answer` of each problem, or an empty text.

        Here it is what three of four ways through a question's parts agree on, step for step.
        """
        rng = dice(self.config.seed, *stream)
        return self.taken_apart([problem.question for problem in problems], rng, self.config.depth)

    def correct(self, attempts: list[Attempt], stream: Stream) -> None:
        """Fill in the corrections."""
        solutions = self.solutions([attempt.problem for attempt in attempts], stream)
        for attempt, solution in zip(attempts, solutions, strict=True):
            if solution and parse(solution) is None:
                raise UserError(f"{self.name} gave {solution!r}: a solution is steps{BAR}answer")
            attempt.correction = solution
            attempt.source = self.name if solution else UNSOLVED

    def markable(self, attempts: list[Attempt], stream: Stream) -> list[Attempt]:
        """The dev questions whose answers it can mark, here those that were agreed on."""
        self.correct(attempts, stream)
        return [attempt for attempt in attempts if attempt.correction]

    def taken_apart(self, questions: list[str], rng: Random, depth: int) -> list[str]:
        """What the ways agree on; where they don't, their parts are taken apart in turn.

        That goes on as deep as is allowed.
        """
        found = dict.fromkeys(questions, "")
        for inner in range(depth):
            left = [question for question, text in found.items() if not text]
            found |= zip(left, self.voted(left, rng, inner), strict=True)
        return [found[question] for question in questions]

    def voted(self, questions: list[str], rng: Random, depth: int) -> list[str]:
        """What three of four ways agree on; the fourth is tried only where it can decide."""
        count = self.config.samples
        least = ceil(0.75 * count)
        rest = count - least
        ask = self.asking(rng, depth)
        texts = dict(zip(questions, by_parts(questions, rng, least, ask), strict=True))
        undecided = [q for q in questions if least - rest <= commonest(texts[q])[1] < least]
        more = by_parts(undecided, rng, rest, ask) if undecided else []
        texts |= {q: texts[q] + added for q, added in zip(undecided, more, strict=True)}
        return [agreed(texts[question], least) for question in questions]

    def asking(self, rng: Random, depth: int) -> Ask:
        """`ask`, which remembers what it was told."""
        return partial(self.ask, rng=rng, depth=depth, known={})

    def ask(
        self, questions: list[str], rng: Random, depth: int, known: dict[str, str]
    ) -> list[Reply]:
        """What the model says to the parts: at once, or by parts of their own where those agree.

        What is `known` from before is not asked again.
        """
        new = [question for question in dict.fromkeys(questions) if question not in known]
        known |= zip(new, self.taken_apart(new, rng, depth), strict=True)
        at_once = [question for question in new if not known[question]]
        completions = self.student.complete([prompt_of(question) for question in at_once])
        said = [completion.whole for completion in completions]
        known |= zip(at_once, said, strict=True)
        return [parse(known[question]) for question in questions]


class Checker(Teacher):
    """Says right or wrong, by the final answer, and no more."""

    name = "self"

    def says(self, attempt: Attempt) -> bool | None:
        """It knows of every answer."""
        self.verdicts += 1
        return check(attempt.problem.answer, attempt.completion.whole) == "right"

    def solutions(self, problems: list[Problem], stream: Stream) -> list[str]:
        """What the model says in parts or when sampled, if it is accepted.

        A right answer can come of wrong steps: two of the texts must agree in every step.  Ways
        through parts that are all the same count too, for there each part was asked in two ways.
        """
        config = self.config
        count = config.samples
        prompts = [problem.prompt for problem in problems for _ in range(count)]
        device = self.student.model.head.weight.device
        generator = torch_dice(device, config.seed, *stream)
        drawn = self.student.complete(prompts, temperature=config.temperature, generator=generator)
        samples = chunks([completion.whole for completion in drawn], count)
        questions = [problem.question for problem in problems]
        rng = dice(config.seed, *stream)
        parts = by_parts(questions, rng, count, self.asking(rng, 0))
        found = []
        for problem, made, said in zip(problems, parts, samples, strict=True):
            self.verdicts += len(made + said)
            accepted = [text for text in made + said if check(problem.answer, text) == "right"]
            found.append(agreed(accepted, 2))
        return found

    def markable(self, attempts: list[Attempt], stream: Stream) -> list[Attempt]:
        """All of them."""
        return attempts


class Solver(Checker):
    """The tutor program: knows the worked solution of every question."""

    name = "solver"

    def vouches(self, attempt: Attempt) -> bool:
        """It looks at every step."""
        return attempt.completion.whole == attempt.problem.target

    def solutions(self, problems: list[Problem], stream: Stream) -> list[str]:
        """The worked solutions; the model is not asked."""
        return [problem.target for problem in problems]


class Nobody(Teacher):
    """Knows nothing: what the model agrees with itself on, by parts, stands for the key."""

    name = "vote"
    caution = 3.0  # a wrong answer that passes is replayed as a right one


TEACHERS = {teacher.name: teacher for teacher in (Solver, Checker, Nobody)}


def way_of(question: str, rng: Random) -> Way:
    """A way through the parts of any question; it ends in a UserError where that makes no sense."""
    return (yield from FAMILIES[family_of(question)].parts(question, rng))


def by_parts(questions: list[str], rng: Random, count: int, ask: Ask) -> list[list[str]]:
    """So many texts of each question, put together from the answers to its parts.

    Empty where a way led nowhere.
    """
    ways = [way_of(question, rng) for question in questions for _ in range(count)]
    return chunks(together(ways, ask), count)


def commonest(texts: list[str]) -> tuple[str, int]:
    """The text, step for step the same, that comes most often, and how often that is."""
    counts = Counter(filter(None, texts))
    return max(counts.items(), key=itemgetter(1), default=("", 0))


def agreed(texts: list[str], least: int) -> str:
    """The commonest text, if it comes at least so often."""
    text, count = commonest(texts)
    return text if count >= least else ""


def together(ways: list[Way], ask: Ask) -> list[str]:
    """Go all ways side by side, a batch of questions at a time.

    Returns what each came to: an empty text where a way leads nowhere.
    """
    texts = [""] * len(ways)
    replies = dict.fromkeys(range(len(ways)))
    while replies:
        questions = {}
        for i, reply in replies.items():
            try:
                questions[i] = ways[i].send(reply)
            except StopIteration as end:
                texts[i] = end.value or ""
            except (ValueError, LookupError, UserError):
                continue  # the reply does not fit
        said = zip(questions, ask(list(questions.values())), strict=True)
        replies = {i: reply for i, reply in said if reply}
    return texts
