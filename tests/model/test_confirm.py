"""Drafts that are read: what is confirmed is what would have been written."""

from itertools import chain

import pytest
import torch

from minisi.method.attempt import Attempt
from minisi.method.student import Student
from minisi.model.generate import READ, confirm, generate, read
from minisi.model.gpt import at_a_time
from minisi.run.progress import Progress
from minisi.run.runtime import dice
from minisi.tasks.problems import draw

LIMIT = 60


@pytest.fixture(scope="module")
def problems():
    rng = dice(1, "drafts")
    return [
        draw(rng, "dev", family, 2) for family in ("add", "chain") for _ in range(READ // 2 + 3)
    ]


@pytest.fixture(scope="module")
def prompts(problems):
    return [problem.prompt for problem in problems]


@pytest.fixture(scope="module")
def written(trained, codec, prompts):
    return generate(trained, codec, prompts, LIMIT)


def same(found, written):
    """Whether two completions are the same but for the last bits of their figures."""
    near = {"rel": 1e-3, "abs": 1e-6}
    return (
        found[:2] == written[:2]
        and found.probabilities == pytest.approx(written.probabilities, **near)
        and found.finished
        and found.prompt_probabilities == pytest.approx(written.prompt_probabilities, **near)
        and found.entropy == pytest.approx(written.entropy, abs=1e-5)
    )


def test_what_would_be_written_is_confirmed(trained, codec, prompts, written):
    found = confirm(trained, codec, prompts, [c.text for c in written], LIMIT)
    finished = [completion.finished for completion in written]
    assert [completion is not None for completion in found] == finished
    assert sum(finished) > len(prompts) / 4
    pairs = zip(found, written, strict=True)
    assert all(same(one, wrote) for one, wrote in pairs if one)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text[1:],
        lambda text: text + "7",
        lambda text: text + "|",
        lambda text: "5" + text,
        lambda text: text.replace("|", "||"),
        lambda text: "",
        lambda text: "9" * 200,
    ],
)
def test_anything_else_is_not(change, trained, codec, prompts, written):
    drafts = [completion.text for completion in written]
    changed = [change(draft) if i % 2 else draft for i, draft in enumerate(drafts)]
    found = confirm(trained, codec, prompts, changed, LIMIT)
    for draft, completion, wrote in zip(changed, found, written, strict=True):
        confirmed = completion is not None
        assert confirmed == (bool(draft) and wrote.finished and draft == wrote.text)


def test_a_draft_over_the_limit_is_not_even_read(trained, codec, prompts, written, monkeypatch):
    lengths = sorted(len(completion.tokens) for completion in written if completion.finished)
    limit = lengths[len(lengths) // 2]
    met = []

    def noted(model, texts):
        met.extend(map(len, texts))
        return read(model, texts)

    monkeypatch.setattr("minisi.model.generate.read", noted)
    found = confirm(trained, codec, prompts, [c.text for c in written], limit)
    assert len(met) == sum(length <= limit for length in lengths)
    for completion, wrote in zip(found, written, strict=True):
        fits = wrote.finished and len(wrote.tokens) <= limit
        assert (completion is not None) == fits


def test_few_long_texts_are_read_together(trained, codec, prompts, written, device, monkeypatch):
    met = []

    def noted(model, texts):
        met.append(list(map(len, texts)))
        return read(model, texts)

    monkeypatch.setattr("minisi.model.generate.read", noted)
    drafts = [completion.text for completion in written]
    wanted = confirm(trained, codec, prompts, drafts, LIMIT)
    lengths = list(chain(*reversed(met)))  # the longest come first
    assert lengths == sorted(lengths)
    monkeypatch.setattr("minisi.model.generate.READ_PLACES", 5 * max(lengths))
    met.clear()
    found = confirm(trained, codec, prompts, drafts, LIMIT)
    assert list(chain(*reversed(met))) == lengths
    assert len(met[-1]) == min(len(lengths), at_a_time(5, torch.device(device)))
    assert [one is None for one in found] == [one is None for one in wanted]
    pairs = zip(found, wanted, strict=True)
    assert all(same(one, other) for one, other in pairs if one)


@pytest.mark.parametrize("guess", ["said before", "correct", "both", "wrong"])
def test_a_student_says_the_same_whatever_is_expected(
    guess, trained, codec, problems, written, monkeypatch
):
    attempts = [Attempt(problem) for problem in problems]
    for attempt, wrote in zip(attempts, written, strict=True):
        if guess in ("said before", "both"):
            attempt.completion = wrote
        if guess in ("correct", "both"):
            attempt.correction = wrote.text
        if guess == "wrong":
            attempt.correction = "1|1"
    asked = []

    def noted(model, codec, prompts, *rest, **sampling):
        asked.extend(prompts)
        return generate(model, codec, prompts, *rest, **sampling)

    monkeypatch.setattr("minisi.method.student.generate", noted)
    progress = Progress({"asking": 1.0})
    student = Student(trained, codec, LIMIT, progress)
    student.answer(attempts)
    progress.close()

    assert [attempt.completion.text for attempt in attempts] == [c.text for c in written]
    assert student.tokens == sum(len(completion.tokens) for completion in written)
    confirmed = len(problems) - len(asked)
    finished = sum(completion.finished for completion in written)
    wanted = {"said before": finished, "both": finished, "correct": finished, "wrong": 0}
    assert confirmed == wanted[guess]
