"""What a run keeps as its own correction: nothing with steps that nobody vouches for."""

from types import SimpleNamespace

import pytest

from minisi.lab.controls import ARMS
from minisi.method.attempt import Attempt, Verdict
from minisi.method.run import Run
from minisi.method.teacher import TEACHERS
from minisi.model.generate import Completion
from minisi.run.config import Config
from minisi.tasks.problems import solve

PROBLEM = solve("347+586")
STEPS = {"right steps": PROBLEM.target, "wrong steps": f"1+1=2|{PROBLEM.answer}"}


def kept(corrector, kind, text, again=False, source="", arm="failure"):
    """What a run keeps of one answer, which its teacher does not correct."""
    verdict = Verdict(kind, 0.5, kind in ("wrong", "unparsable"))
    said = Completion(text, [1], [0.5], True, [0.5])
    attempt = Attempt(PROBLEM, again, said, verdict, source=source)
    teacher = TEACHERS[corrector](Config(), None)
    found = Run.keep_own(SimpleNamespace(arm=ARMS[arm], teacher=teacher), [attempt])
    for one in found:
        assert one is attempt
        assert (one.correction, one.source) == (text, "own")
    return bool(found)


CASES = [  # kind, asked before: whether it is kept if the steps are right, by a solver
    ("unsure", False, True),
    ("unsure", True, True),
    ("right", True, True),
    ("right", False, False),
]


@pytest.mark.parametrize(("kind", "again", "wanted"), CASES)
def test_a_solver_vouches_for_right_steps_alone(kind, again, wanted):
    assert kept("solver", kind, STEPS["right steps"], again) == wanted
    assert not kept("solver", kind, STEPS["wrong steps"], again)


@pytest.mark.parametrize("corrector", ["self", "vote"])
@pytest.mark.parametrize("text", STEPS.values(), ids=STEPS)
def test_without_a_solver_an_answer_is_kept_that_is_right_in_the_end_and_sure(corrector, text):
    assert kept(corrector, "right", text, again=True)
    assert not kept(corrector, "right", text)
    assert not kept(corrector, "unsure", text)
    assert not kept(corrector, "unsure", text, again=True)


@pytest.mark.parametrize("corrector", TEACHERS)
@pytest.mark.parametrize("kind", ["wrong", "unparsable"])
def test_what_is_wrong_is_never_its_own_correction(kind, corrector):
    assert not kept(corrector, kind, "1+1=2|2", again=True)


@pytest.mark.parametrize("corrector", TEACHERS)
def test_what_somebody_was_asked_about_is_not_its_own_correction(corrector):
    for source in (corrector, "unsolved"):
        assert not kept(corrector, "right", PROBLEM.target, again=True, source=source)


@pytest.mark.parametrize("arm", ["fresh", "static"])
def test_an_arm_that_knows_of_no_failures_keeps_nothing(arm):
    assert not kept("solver", "unsure", PROBLEM.target, arm=arm)
