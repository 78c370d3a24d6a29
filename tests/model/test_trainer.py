"""Batches and fit."""

import pytest
import torch
from torch.optim import SGD

from minisi.model import trainer
from minisi.model.optim import build
from minisi.model.tokenizer import EOS
from minisi.model.trainer import collate, encode, fit
from minisi.run.runtime import chunks, dice
from minisi.tasks.problems import balanced

from ..conftest import make_model


@pytest.fixture(scope="module")
def examples(codec):
    problems = balanced(dice(1, "trainer"), "train", 3, 40)
    return encode(codec, [(problem.prompt, problem.target) for problem in problems])


def train(model, optimizers, batches, rates=None, prompt_weights=None):
    """Go through all of fit; the last Trained it says."""
    rates = rates or [1.0] * len(batches)
    prompt_weights = prompt_weights or [0.0] * len(batches)
    return list(fit(model, optimizers, batches, rates, prompt_weights))[-1]


def plain_loss(model, examples, weight=0.0):
    """Loss for each target token, one example at a time and without padding.

    That of the question's tokens is added with a weight.
    """
    device = model.head.weight.device
    losses = []
    for prompt, target in examples:
        logits = model(torch.tensor([prompt + target], device=device))[0]
        logs = logits.log_softmax(-1)
        losses += [-logs[len(prompt) + i - 1, token] for i, token in enumerate(target)]
        losses += [-weight * logs[i, token] for i, token in enumerate(prompt[1:])]
    return torch.stack(losses).sum() / sum(len(target) for _, target in examples)


def test_an_example_is_the_prompt_and_the_target_with_its_end(codec):
    ((prompt, target),) = encode(codec, [("3+4|", "3+4+0=07|7")])
    assert codec.decode([prompt, target[:-1]]) == ["3+4|", "3+4+0=07|7"]
    assert target[-1] == EOS


def test_labels_are_the_next_tokens_and_the_targets_weigh_most(examples, device):
    inputs, labels, weights = (x.tolist() for x in collate(examples, 0.3, device))
    longest = max(len(prompt) + len(target) for prompt, target in examples)
    assert {len(row) for row in inputs + labels + weights} == {longest - 1}

    rows = zip(examples, inputs, labels, weights, strict=True)
    for (prompt, target), x, y, w in rows:
        whole = prompt + target
        end = len(whole) - 1
        assert x[:end] == whole[:-1]
        assert y[:end] == whole[1:]
        assert set(x[end + 1 :]) <= {EOS}
        assert w[:end] == pytest.approx([0.3] * (len(prompt) - 1) + [1] * len(target))
        assert set(w[end:]) <= {0}


@pytest.mark.parametrize("size", [1, 7, 40, 99])
def test_chunks_keep_all_in_order(size, examples):
    parts = chunks(examples, size)
    assert [example for part in parts for example in part] == examples
    assert all(len(part) == size for part in parts[:-1])


@pytest.mark.parametrize(("part", "weight"), [(1, 0.2), (3, 0.0), (16, 1.0), (64, 0.2)])
def test_the_step_is_that_of_the_plain_loss_whatever_the_padding(
    part, weight, examples, tiny, monkeypatch
):
    monkeypatch.setattr(trainer, "PART", part)
    model = tiny()
    reference = tiny()
    done = train(model, [SGD(model.parameters(), lr=1.0)], [examples], prompt_weights=[weight])
    loss = plain_loss(reference, examples, weight)
    loss.backward()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs - theirs.grad, atol=1e-4, rtol=1e-3)
    assert done.loss == pytest.approx(loss.item(), abs=1e-3)


def test_fit_yields_the_mean_loss_of_the_last_steps_and_counts_them(examples, tiny):
    model = tiny()
    batches = chunks(examples, 8)
    weights = [step / 4 for step in range(5)]
    pairs = zip(batches, weights, strict=True)
    losses = [plain_loss(model, batch, weight).item() for batch, weight in pairs]

    still = [SGD(model.parameters(), lr=0.0)]
    first, last = fit(model, still, batches, [1.0] * 5, weights, every=3)
    assert (first.steps, last.steps) == (3, 5)
    assert first.loss == pytest.approx(sum(losses[:3]) / 3, abs=1e-3)
    assert last.loss == pytest.approx(sum(losses[3:]) / 2, abs=1e-3)
    assert last.tokens > first.tokens
    assert last.tokens >= sum(len(prompt) + len(target) - 1 for prompt, target in examples)


def test_each_rate_is_its_peak_times_the_schedule(examples, tiny):
    def at_rates(shares):
        model = tiny()
        inside = SGD(model.blocks.parameters(), lr=0.1)
        outside = SGD([model.embed.weight, model.head.weight], lr=0.3)
        train(model, [inside, outside], [examples] * len(shares), shares)
        assert inside.param_groups[0]["lr"] == 0.1 * shares[-1]
        assert outside.param_groups[0]["lr"] == 0.3 * shares[-1]
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
        train(model, [SGD(model.parameters(), lr=0.1)], [examples[:2]] * steps)


def test_a_loss_that_is_no_number_is_never_told(examples, tiny):
    model = broken(tiny())
    batches = [examples[:2]] * 4
    told = fit(model, [SGD(model.parameters(), lr=0.1)], batches, [1.0] * 4, [0.0] * 4, every=2)
    with pytest.raises(FloatingPointError, match="the loss"):
        next(told)


def test_a_weight_that_is_no_number_at_the_end_ends_training(examples, tiny):
    model = tiny()
    with pytest.raises(FloatingPointError, match="a weight"):
        train(model, [SGD(model.parameters(), lr=torch.inf)], [examples[:2]])


def test_training_twice_on_a_cpu_gives_identical_weights(examples, codec):
    def weights():
        model = make_model("cpu", codec, busy=False)
        train(model, build(model, model.blocks, 5e-3), chunks(examples, 10))
        return model.state_dict()

    first = weights()
    second = weights()
    assert all(torch.equal(first[name], second[name]) for name in first)
    untrained = make_model("cpu", codec, busy=False)
    assert not torch.equal(first["head.weight"], untrained.head.weight)
