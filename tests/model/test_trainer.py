"""A batch's gradients against a loop over its texts, and fit."""

import math
from copy import deepcopy
from itertools import chain

import pytest
import torch

from minisi.model import lora
from minisi.model.gpt import LINE, Texts, even
from minisi.model.optim import Optimizer, build
from minisi.model.tokenizer import EOS
from minisi.model.trainer import backward, encode, fit, loss_sum
from minisi.run.runtime import chunks, dice
from minisi.tasks.problems import balanced

from ..conftest import make_model, mix
from ..passes import plain, random_texts

pytestmark = pytest.mark.usefixtures("precise")


@pytest.fixture(scope="module")
def examples(codec):
    problems = balanced(dice(1, "trainer"), "train", 3, 40)
    return encode(codec, [(problem.prompt, problem.target) for problem in problems])


class Descent(Optimizer):
    """Plain gradient descent, which notes how large its steps are."""

    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.steps = []

    @torch.no_grad()
    def step(self, rate=1.0):
        self.steps.append(rate * self.lr)
        for p in self.params:
            p -= rate * self.lr * p.grad


def train(model, optimizers, batches, rates=None, prompt_weights=None):
    """Go through all of fit; the last Trained it says."""
    rates = rates or [1.0] * len(batches)
    prompt_weights = prompt_weights or [0.0] * len(batches)
    return list(fit(model, optimizers, batches, rates, prompt_weights))[-1]


def tokens_of(examples):
    """How many the model reads: each last one is only guessed."""
    return sum(len(prompt) + len(target) - 1 for prompt, target in examples)


def plain_loss(model, examples, weight=0.0):
    """Loss for each target token, one example at a time and without padding.

    That of the question's tokens is added with a weight.
    """
    losses = []
    for prompt, target in examples:
        logs = plain(model, prompt + target).log_softmax(-1)
        losses += [-logs[len(prompt) + i - 1, token] for i, token in enumerate(target)]
        losses += [-weight * logs[i, token] for i, token in enumerate(prompt[1:])]
    return torch.stack(losses).sum() / sum(len(target) for _, target in examples)


def test_an_example_is_the_prompt_and_the_target_with_its_end(codec):
    ((prompt, target),) = encode(codec, [("3+4|", "3+4+0=07|7")])
    assert codec.decode([prompt, target[:-1]]) == ["3+4|", "3+4+0=07|7"]
    assert target[-1] == EOS


def gradients(model):
    return [weight.grad.double() for weight in model.parameters()]


def plain_gradients(model, examples, weight):
    """In double precision, from one text at a time."""
    exact = deepcopy(model).double()
    plain_loss(exact, examples, weight).backward()
    return gradients(exact)


@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("n", [1, 2, 9, 40])
def test_loss_and_gradients_are_those_of_a_loop_over_texts_alone(n, weight, examples, tiny):
    model = tiny()
    some = examples[-n:]
    loss, tokens = backward(model, some, weight)
    assert loss.item() == pytest.approx(plain_loss(model, some, weight).item(), abs=1e-5)
    assert not loss.requires_grad
    assert tokens == tokens_of(some)
    wanted = plain_gradients(model, some, weight)
    torch.testing.assert_close(gradients(model), wanted, atol=1e-5, rtol=1e-4)


def test_so_they_are_for_texts_of_very_different_lengths(tiny):
    model = tiny()
    sizes = [(1, 1), (1, 60), (90, 1), (2, 3), (40, 40), (1, 2), (7, 1), (1, 1), (3, 80), (5, 5)]
    prompts = random_texts(model, [prompt for prompt, _ in sizes])
    targets = random_texts(model, [target for _, target in sizes], seed=1)
    examples = list(zip(prompts, targets, strict=True))
    wanted = plain_gradients(model, examples, 0.3)
    for order in (examples, examples[::-1]):
        model.zero_grad()
        backward(model, order, 0.3)
        torch.testing.assert_close(gradients(model), wanted, atol=1e-5, rtol=1e-4)


def test_texts_of_like_length_are_attended_to_together(examples, tiny, monkeypatch):
    met = []

    def noted(lengths, device, filler):
        met.extend([*lengths, filler])
        return Texts(lengths, device, filler=filler)

    monkeypatch.setattr("minisi.model.gpt.Texts", noted)
    backward(tiny(), examples, 0.0)
    *met, filler = met
    assert sum(met) == tokens_of(examples)
    assert sorted(met) in (met, met[::-1])
    assert 0 < filler <= LINE
    assert (sum(met) + filler) % LINE == 0


def test_a_count_is_filled_up_by_less_than_an_eighth_to_one_of_few_sizes():
    sizes = [even(count, LINE) for count in range(1, 8193)]
    for count, size in enumerate(sizes, 1):
        assert count <= size < count + max(LINE, count / 8)
        assert size % LINE == 0
    assert len(set(sizes)) == 2048 // LINE + 8 + 8


@pytest.mark.parametrize("size", [1, 9, 39])
def test_in_micro_batches_loss_and_gradients_are_those_of_the_whole_batch(
    size, examples, tiny, monkeypatch
):
    read = []

    def noted(model, part, weight):
        read.append(part)
        return loss_sum(model, part, weight)

    monkeypatch.setattr("minisi.model.trainer.loss_sum", noted)
    monkeypatch.setattr("minisi.model.gpt.MORE", 1)  # so that a GPU has as many of them
    model = tiny()
    loss, tokens = backward(model, examples, 0.2, size)
    full = [size] * (len(examples) // size)
    rest = len(examples) % size
    assert [len(part) for part in read] == full + [rest] * bool(rest)
    lengths = [tokens_of([example]) for example in chain(*read)]
    assert lengths == sorted(tokens_of([example]) for example in examples)
    assert loss.item() == pytest.approx(plain_loss(model, examples, 0.2).item(), abs=1e-5)
    assert tokens == tokens_of(examples)
    wanted = plain_gradients(model, examples, 0.2)
    torch.testing.assert_close(gradients(model), wanted, atol=1e-5, rtol=1e-4)


def test_gradients_add_up(examples, tiny):
    model = tiny()
    exact = deepcopy(model).double()
    for part in (examples[:9], examples[9:]):
        backward(model, part, 0.2)
        plain_loss(exact, part, 0.2).backward()
    torch.testing.assert_close(gradients(model), gradients(exact), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("adapted", [False, True])
def test_with_bfloat16_gradients_are_nearly_the_same(adapted, examples, tiny, monkeypatch):
    model = tiny()
    if adapted:
        for weight in lora.add(model.requires_grad_(False).blocks, 8, 8.0):
            torch.nn.init.normal_(weight, std=0.1)
    found = []
    for mixed in (False, True):
        mix(monkeypatch, mixed)
        model.zero_grad()
        loss, _ = backward(model, examples, 0.2)
        grads = [weight.grad for weight in model.parameters() if weight.requires_grad]
        found.append([loss, *grads])
    errors = [(other - one).norm() / one.norm() for one, other in zip(*found, strict=True)]
    assert 1e-4 < max(errors) < 0.03


@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_a_model_that_knows_nothing_loses_the_same_at_each_token_by_its_weight(
    weight, examples, tiny, codec
):
    model = tiny()
    torch.nn.init.zeros_(model.head.weight)
    loss, _ = backward(model, examples, weight)
    asked = sum(len(prompt) - 1 for prompt, _ in examples)
    wanted = sum(len(target) for _, target in examples)
    each = math.log(len(codec.vocabulary))
    assert loss.item() == pytest.approx(each * (1 + weight * asked / wanted), rel=1e-5)


def test_a_step_goes_down_the_gradients_and_leaves_none(examples, tiny):
    model = tiny()
    slopes = plain_gradients(model, examples, 0.2)
    wanted = [w.detach() - g for w, g in zip(model.parameters(), slopes, strict=True)]
    train(model, [Descent(model.parameters(), lr=1.0)], [examples], prompt_weights=[0.2])
    found = [weight.double() for weight in model.parameters()]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert all(weight.grad is None for weight in model.parameters())


def test_fit_yields_the_mean_loss_of_the_last_steps_and_counts_them(examples, tiny):
    model = tiny()
    batches = chunks(examples, 8)
    weights = [step / 4 for step in range(5)]
    pairs = zip(batches, weights, strict=True)
    losses = [plain_loss(model, batch, weight).item() for batch, weight in pairs]

    still = [Descent(model.parameters(), lr=0.0)]
    first, last = fit(model, still, batches, [1.0] * 5, weights, every=3)
    assert (first.steps, last.steps) == (3, 5)
    assert first.loss == pytest.approx(sum(losses[:3]) / 3, abs=1e-5)
    assert last.loss == pytest.approx(sum(losses[3:]) / 2, abs=1e-5)
    assert (first.tokens, last.tokens) == (tokens_of(examples[:24]), tokens_of(examples))


def test_each_rate_is_its_peak_times_the_schedule(examples, tiny):
    def at_rates(shares):
        model = tiny()
        inside = Descent(model.blocks.parameters(), lr=0.1)
        outside = Descent([model.embed.weight, model.head.weight], lr=0.3)
        train(model, [inside, outside], [examples] * len(shares), shares)
        assert inside.steps == [0.1 * share for share in shares]
        assert outside.steps == [0.3 * share for share in shares]
        return model.parameters()

    one_step = at_rates([0.5])
    between_zeros = at_rates([0.0, 0.5, 0.0])
    for a, b, start in zip(one_step, between_zeros, tiny().parameters(), strict=True):
        torch.testing.assert_close(a, b)
        assert not torch.equal(a, start)


def test_fit_lowers_the_loss(examples, tiny):
    model = tiny(busy=False)
    before = plain_loss(model, examples).item()
    train(model, build(model, model.blocks, 5e-3), [examples] * 30)
    assert plain_loss(model, examples).item() < 0.5 * before


def broken(model):
    """The model with a weight that is no number."""
    with torch.no_grad():
        model.head.weight[3, 3] = torch.nan
    return model


@pytest.mark.parametrize("steps", [1, 20, 25])
def test_a_loss_that_is_no_number_ends_training(steps, examples, tiny):
    model = broken(tiny())
    with pytest.raises(FloatingPointError):
        train(model, [Descent(model.parameters(), lr=0.1)], [examples[:2]] * steps)


def test_a_loss_that_is_no_number_is_never_told(examples, tiny):
    model = broken(tiny())
    batches = [examples[:2]] * 4
    told = fit(model, [Descent(model.parameters(), lr=0.1)], batches, [1.0] * 4, [0.0] * 4, every=2)
    with pytest.raises(FloatingPointError, match="the loss"):
        next(told)


def test_a_weight_that_is_no_number_at_the_end_ends_training(examples, tiny):
    model = tiny()
    with pytest.raises(FloatingPointError, match="a weight"):
        train(model, [Descent(model.parameters(), lr=torch.inf)], [examples[:2]])


@pytest.mark.parametrize("mixed", [False, True])
def test_training_twice_on_a_cpu_gives_identical_weights(mixed, examples, codec, monkeypatch):
    mix(monkeypatch, mixed)

    def weights():
        model = make_model("cpu", codec, busy=False)
        train(model, build(model, model.blocks, 5e-3), chunks(examples, 10))
        return model.state_dict()

    first = weights()
    second = weights()
    assert all(torch.equal(first[name], second[name]) for name in first)
    untrained = make_model("cpu", codec, busy=False)
    assert not torch.equal(first["head.weight"], untrained.head.weight)
