"""The answer key: `vote` never sees it, `self` sees no solution, and `solver` vouches for steps."""

import zlib

import pytest

import loop
from minisi.lab import evaluate
from minisi.method import finetune, student, teacher
from minisi.run.runtime import dice
from minisi.tasks import arithmetic, bits, expressions, stories
from minisi.tasks.families import FAMILIES
from minisi.tasks.problems import BAR, Problem, draw, parse, solve

from .answers import unconfirmed
from .programs import NONSENSE, known, rows, said, settings

pytestmark = pytest.mark.usefixtures("no_pictures")

QUESTIONS = 64  # a round


@pytest.fixture
def play(tmp_path, small_test_set):
    """Plays a run within this process, in the test's own folder."""
    asked = {"questions": QUESTIONS, "dev_questions": 96}
    return lambda **changed: loop.loop(settings(tmp_path, small_test_set, **asked, **changed))


def mostly(model, codec, prompts, limit, of=4, **sampling):
    """Stands in for decoding: all answers but one of four, or of so many, are right."""
    completions = []
    for prompt in prompts:
        if zlib.crc32(prompt.encode()) % of == 0:
            completions.append(said(NONSENSE, 0.45))
        else:
            completions.append(said(known(prompt.removesuffix(BAR)), 0.9))
    return completions


WORKED_OUT = [  # what the families' solvers are made of
    (arithmetic.Columns, "columns"),
    (expressions.Expr, "work"),
    (bits.Logic, "work"),
    *((module, "operation") for module in (expressions, stories)),
]
EXAMINING = ("is_right", "has_right_steps", "labels", "wrong_steps")
KINDS = [type(family) for family in FAMILIES.values()]


class Watch:
    """Whoever calls what is watched fails, but not while something that is trusted is at work."""

    def __init__(self, patch):
        self.patch = patch
        self.trusting = 0

    def watch(self, *places):
        for place, name in places:
            self.patch.setattr(place, name, self.watched(getattr(place, name)))

    def trust(self, *places):
        for place, name in places:
            self.patch.setattr(place, name, self.trusted(getattr(place, name)))

    def watched(self, function):
        def call(*given):
            assert self.trusting, f"the key was looked up: {given}"
            return function(*given)

        return call

    def trusted(self, function):
        def call(*given, **named):
            self.trusting += 1
            try:
                return function(*given, **named)
            finally:
                self.trusting -= 1

        return call


@pytest.fixture
def watch(monkeypatch):
    """A watch, with a stand-in for decoding.

    Trusted are the examiner, whose figures decide nothing, what comes before the first question,
    what makes the questions, and what stands in for the model.
    """
    monkeypatch.setattr(student, "generate", mostly)
    monkeypatch.setattr(student, "confirm", unconfirmed)
    found = Watch(monkeypatch)
    found.trust(*((evaluate, name) for name in EXAMINING), (student, "generate"))
    found.trust((evaluate.Examiner, "expected"))
    found.trust((loop, "read_sets"), (loop, "get_base"))
    found.trust(*((kind, name) for kind in KINDS for name in ("ask", "level")))
    return found


@pytest.fixture
def key(watch):
    """Watches the answer key: the solvers, and what they are made of."""
    watch.watch(*((kind, "solve") for kind in KINDS), *WORKED_OUT, (teacher, "check"))
    return watch


@pytest.fixture
def exams(monkeypatch):
    """The exams of a run that is played."""
    real = loop.examine
    found = []
    monkeypatch.setattr(loop, "examine", lambda run: found.append(real(run)) or found[-1])
    return found


@pytest.mark.parametrize("threshold", [-1, 0.6])
def test_with_vote_nothing_in_a_whole_run_looks_into_the_key(threshold, play, key, exams, tmp_path):
    _, first, second = play(corrector="vote", threshold=threshold)
    assert key.trusting == 0

    # All that could have looked did take place.
    for row in (first, second):
        assert row["unsure"] > 0
        assert 0 < row["threshold"] < 1
        assert row["steps"] == 3
        assert row["dev_after"] >= row["dev_before"] > 0
        assert row["label_precision"] > 0
    assert all(exam.higher for exam in exams)
    assert first["scale"] > 0
    assert second["relapsed"] == 0  # for the same is always said
    assert second["asked"] > QUESTIONS  # some were asked again
    assert {"vote", "unsolved"} <= {row["source"] for row in rows(tmp_path / "loop", "memory")}
    if threshold > 0:
        assert first["asked"] > sum(first[kind] for kind in evaluate.KINDS)  # the others replay


def test_with_vote_nothing_looks_into_the_key_while_the_world_grows(play, key):
    made = play(corrector="vote", grow=6, coverage=0.0, focus=0.5, depth=2)
    assert key.trusting == 0
    assert [row["levels"] for row in made] == [4, 5, 6]
    assert all(max(row["failing"].values()) > 0 for row in made)


@pytest.mark.parametrize("corrector", ["solver", "self"])
def test_with_a_solver_or_a_checker_the_key_is_looked_into(corrector, play, key):
    with pytest.raises(AssertionError, match="was looked up"):
        play(corrector=corrector)


def test_with_self_nothing_in_a_whole_run_looks_at_a_solution(play, watch, exams, monkeypatch):
    for name in ("steps", "target"):
        looked = watch.watched(getattr(Problem, name).fget)
        monkeypatch.setattr(Problem, name, property(looked))
    _, first, second = play(corrector="self", samples=2)
    assert watch.trusting == 0
    assert all(exam.higher for exam in exams)
    assert all(row["self_corrected"] > 0 for row in (first, second))
    with pytest.raises(AssertionError, match="was looked up"):
        solve("3+4").steps  # noqa: B018


@pytest.mark.parametrize("family", FAMILIES)
def test_the_watch_sees_each_way_to_the_key(family, key):
    problem = draw(dice(1, "watch"), "train", family, 2)
    for look in (lambda: problem.steps, lambda: problem.answer, lambda: problem.target):
        with pytest.raises(AssertionError, match="was looked up"):
            look()
    with pytest.raises(AssertionError, match="was looked up"):
        teacher.check("13", "7+6+0=13|13")


def sloppy(model, codec, prompts, limit, **sampling):
    """Stands in for decoding: of four answers one is wrong, and one right by wrong steps."""
    completions = []
    for prompt in prompts:
        steps, answer = parse(known(prompt.removesuffix(BAR)))
        kind = zlib.crc32(prompt.encode()) % 4
        if kind == 1:
            steps = "1+1=2"
        completions.append(said(f"{steps}{BAR}{answer}" if kind else NONSENSE, 0.7))
    return completions


def test_with_a_solver_no_wrong_step_is_learned_or_stored(play, tmp_path, monkeypatch):
    taught = []

    def encode(codec, pairs):
        taught.extend(pairs)
        return real(codec, pairs)

    real = finetune.encode
    monkeypatch.setattr(finetune, "encode", encode)
    monkeypatch.setattr(student, "generate", sloppy)
    monkeypatch.setattr(student, "confirm", unconfirmed)
    made = play(threshold=0.95)
    assert all(row["test_right_steps"] < row["test_accuracy"] for row in made)
    assert [row["memory_wrong_steps"] for row in made] == [0, 0, 0]
    assert all(target == solve(prompt.removesuffix(BAR)).target for prompt, target in taught)
    memory = rows(tmp_path / "loop", "memory")
    assert {row["source"] for row in memory} == {"solver", "own"}
    assert all(row["completion"] == solve(row["question"]).target for row in memory)
