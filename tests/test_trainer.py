"""Batches and fit."""

import io

import pytest
import torch
from tqdm import tqdm

from minisi import trainer
from minisi.optim import build
from minisi.runtime import dice
from minisi.tasks import balanced
from minisi.tokenizer import EOS
from minisi.trainer import collate, cut, encode, fit

from .conftest import make_model


@pytest.fixture(scope="module")
def examples(codec):
    return encode(codec, [(p.prompt, p.target) for p in balanced(dice(1, "trainer"), "train", 3, 40)])


def silent():
    return tqdm(file=io.StringIO())


def plain_loss(model, examples, weight=0.0):
    """Loss for each target token, that of the question's tokens added with a weight, one example at a time and without padding."""
    device, losses = model.head.weight.device, []
    for prompt, target in examples:
        log = model(torch.tensor([prompt + target], device=device))[0].log_softmax(-1)
        losses += [-log[len(prompt) + i - 1, token] for i, token in enumerate(target)]
        losses += [-weight * log[i, token] for i, token in enumerate(prompt[1:])]
    return torch.stack(losses).sum() / sum(len(target) for _, target in examples)


def test_an_example_is_the_prompt_and_the_target_with_its_end(codec):
    ((prompt, target),) = encode(codec, [("3+4|", "3+4+0=07|7")])
    assert codec.decode([prompt, target[:-1]]) == ["3+4|", "3+4+0=07|7"] and target[-1] == EOS


def test_labels_are_the_next_tokens_and_the_targets_weigh_most(examples, device):
    inputs, labels, weights = (x.tolist() for x in collate(examples, 0.3, device))
    assert {len(row) for row in inputs + labels + weights} == {max(len(p) + len(t) for p, t in examples) - 1}
    for (prompt, target), x, y, w in zip(examples, inputs, labels, weights, strict=True):
        whole, end = prompt + target, len(prompt + target) - 1
        assert x[:end] == whole[:-1] and y[:end] == whole[1:] and set(x[end + 1 :]) <= {EOS}
        assert w[:end] == pytest.approx([0.3] * (len(prompt) - 1) + [1] * len(target)) and set(w[end:]) <= {0}


@pytest.mark.parametrize("size", [1, 7, 40, 99])
def test_cut_keeps_all_in_order(size, examples):
    parts = cut(examples, size)
    assert [e for part in parts for e in part] == examples and all(len(part) == size for part in parts[:-1])


@pytest.mark.parametrize("part, weight", [(1, 0.2), (3, 0.0), (16, 1.0), (64, 0.2)])
def test_the_step_is_that_of_the_plain_loss_whatever_the_padding(part, weight, examples, tiny, monkeypatch):
    monkeypatch.setattr(trainer, "PART", part)
    model, reference, bar = tiny(), tiny(), silent()
    fit(model, [torch.optim.SGD(model.parameters(), lr=1.0)], [examples], lambda step: 1.0, bar, lambda step: weight)
    loss = plain_loss(reference, examples, weight)
    loss.backward()
    for a, b in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b - b.grad, atol=1e-4, rtol=1e-3)
    assert float(bar.postfix.removeprefix("loss=")) == pytest.approx(loss.item(), abs=1e-3)


def test_the_bar_shows_the_mean_loss_of_the_last_steps_and_counts_them(examples, tiny):
    model, bar, batches = tiny(), silent(), cut(examples, 8)
    losses = [plain_loss(model, batch, step / 4).item() for step, batch in enumerate(batches)]
    steps, tokens = fit(model, [torch.optim.SGD(model.parameters(), lr=0.0)], batches, lambda step: 1.0, bar, lambda step: step / 4, every=3)
    assert bar.n == steps == len(batches) == 5
    assert float(bar.postfix.removeprefix("loss=")) == pytest.approx(sum(losses[3:]) / 2, abs=1e-3)
    assert tokens >= sum(len(p) + len(t) - 1 for p, t in examples)


def test_each_rate_is_its_peak_times_the_schedule(examples, tiny):
    models = tiny(), tiny()
    for model, shares in zip(models, ([0.5], [0.0, 0.5, 0.0])):
        halves = [torch.optim.SGD(model.blocks.parameters(), lr=0.1), torch.optim.SGD([model.embed.weight, model.head.weight], lr=0.3)]
        fit(model, halves, [examples] * len(shares), shares.__getitem__, silent())
        assert [half.param_groups[0]["lr"] for half in halves] == [0.1 * shares[-1], 0.3 * shares[-1]]
    for a, b, start in zip(models[0].parameters(), models[1].parameters(), tiny().parameters()):
        torch.testing.assert_close(a, b)
        assert not torch.equal(a, start)


def test_fit_lowers_the_loss(examples, tiny):
    model = tiny(busy=False)
    before = plain_loss(model, examples).item()
    fit(model, build(model, model.blocks, 5e-3), [examples] * 30, lambda step: 1.0, silent())
    assert plain_loss(model, examples).item() < 0.5 * before


@pytest.mark.parametrize("steps", [1, 20, 25])
def test_a_loss_that_is_no_number_ends_training(steps, examples, tiny):
    model = tiny()
    with torch.no_grad():
        model.head.weight[3, 3] = torch.nan
    with pytest.raises(FloatingPointError):
        fit(model, [torch.optim.SGD(model.parameters(), lr=0.1)], [examples[:2]] * steps, lambda step: 1.0, silent())


def test_training_twice_on_a_cpu_gives_identical_weights(examples):
    twins = [make_model("cpu", busy=False) for _ in range(2)]
    for model in twins:
        fit(model, build(model, model.blocks, 5e-3), cut(examples, 10), lambda step: 1.0, silent())
    assert all(torch.equal(a, b) for a, b in zip(*(model.parameters() for model in twins)))
    assert not torch.equal(twins[0].head.weight, make_model("cpu", busy=False).head.weight)
