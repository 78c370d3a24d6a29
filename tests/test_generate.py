"""Decoding in batches."""

import math

import pytest
import torch

from minisi.generate import generate
from minisi.runtime import dice
from minisi.tasks import draw
from minisi.tokenizer import EOS, VOCABULARY

LIMIT = 60


@pytest.fixture(scope="module")
def prompts():
    rng = dice(1, "prompts")
    return [draw(rng, "dev", family, level).prompt for level in (2, 1, 4) for family in ("add", "sub", "chain", "logic") for _ in range(3)]


@pytest.fixture(scope="module")
def together(trained, codec, prompts):
    return generate(trained, codec, prompts, LIMIT)


def test_a_batch_writes_what_its_rows_write_alone(trained, codec, prompts, together):
    assert len({len(c.tokens) for c in together}) > 3 and sum(c.finished for c in together) > len(prompts) / 4
    for prompt, c in zip(prompts, together, strict=True):
        (alone,) = generate(trained, codec, [prompt], LIMIT)
        assert (alone.text, alone.tokens, alone.finished) == (c.text, c.tokens, c.finished)
        assert alone.probabilities == pytest.approx(c.probabilities, abs=1e-4)
    assert [c.text for c in generate(trained, codec, prompts, LIMIT, batch=5)] == [c.text for c in together]


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_tokens_and_probabilities_are_those_of_a_full_pass(temperature, trained, codec, prompts, device):
    for prompt, c in zip(prompts, generate(trained, codec, prompts, LIMIT, temperature=temperature, generator=torch.Generator(device).manual_seed(0))):
        (start,) = codec.encode([prompt])
        p = trained(torch.tensor([start + c.tokens], device=device)).softmax(-1)[0, len(start) - 1 : -1].cpu()  # (tokens, V)
        assert c.probabilities == pytest.approx(p.gather(1, torch.tensor(c.tokens)[:, None])[:, 0].tolist(), abs=1e-4)
        assert temperature or c.tokens == p.argmax(1).tolist()
        assert c.text == codec.decode([c.tokens])[0] and c.finished == (c.tokens[-1] == EOS) and EOS not in c.tokens[:-1]


def test_the_prompts_probabilities_are_those_of_a_full_pass(trained, codec, prompts, together, device):
    for prompt, ids, c in zip(prompts, codec.encode(prompts), together):
        p = trained(torch.tensor([ids], device=device)).softmax(-1)[0, :-1].cpu()  # (tokens - 1, V)
        (alone,) = generate(trained, codec, [prompt], 1)
        for found in (c, alone):
            assert found.prompt_probabilities == pytest.approx(p.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist(), rel=1e-2, abs=1e-9)
    assert len({len(c.prompt_probabilities) for c in together}) > 3


@pytest.mark.parametrize("temperature, limit", [(0.0, LIMIT), (0.8, LIMIT), (0.8, 9)])
def test_the_entropy_is_the_mean_of_a_full_pass(temperature, limit, trained, codec, prompts, device):
    found = generate(trained, codec, prompts, limit, temperature=temperature, generator=torch.Generator(device).manual_seed(0))
    for prompt, c in zip(prompts, found, strict=True):
        (start,) = codec.encode([prompt])
        logs = trained(torch.tensor([start + c.tokens], device=device))[0, len(start) - 1 : -1].double().log_softmax(-1)  # (tokens, V)
        assert c.entropy == pytest.approx(-(logs.exp() * logs).sum(1).mean().item(), abs=1e-4)
    assert len({len(c.tokens) for c in found}) > 3 and len({len(p) for p in prompts}) > 3 and any(c.finished for c in found)
    assert limit == LIMIT or not all(c.finished for c in found)
    assert max(c.entropy for c in found) > min(c.entropy for c in found) + 0.01


def test_a_model_that_knows_nothing_has_the_entropy_of_all_its_tokens(tiny, codec):
    model = tiny(busy=False)
    torch.nn.init.zeros_(model.head.weight)
    for limit in (1, 7):
        assert [c.entropy for c in generate(model, codec, ["7+6|", "347+586|"], limit)] == pytest.approx([math.log(len(VOCABULARY))] * 2)


def test_a_prompt_of_one_token_has_no_probabilities(trained, codec):
    alone, together = generate(trained, codec, ["7"], 3), generate(trained, codec, ["7", "347+586|", "4+4|"], 3)
    assert alone[0].prompt_probabilities == together[0].prompt_probabilities == [] and len(together[2].prompt_probabilities) == 3
    assert alone[0].tokens == together[0].tokens


def test_sampling_repeats_with_its_generator(trained, codec, prompts, device):
    def texts(seed):
        return [c.text for c in generate(trained, codec, prompts, LIMIT, temperature=1.0, generator=torch.Generator(device).manual_seed(seed))]

    assert texts(1) == texts(1) != texts(2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_are_as_frequent_as_they_are_likely(temperature, tiny, codec, device):
    model, n = tiny(), 4000
    drawn = generate(model, codec, ["7+6|"] * n, 1, batch=n, temperature=temperature, generator=torch.Generator(device).manual_seed(0))
    p = (model(torch.tensor(codec.encode(["7+6|"]), device=device))[0, -1] / temperature).softmax(-1).cpu()
    found = torch.bincount(torch.tensor([c.tokens[0] for c in drawn]), minlength=len(VOCABULARY)) / n
    assert p.max() < 0.9 and ((found - p).abs() < 5 * (p * (1 - p) / n).sqrt() + 2 / n).all()


def test_out_of_room_is_not_finished_but_an_end_in_the_last_place_is(trained, codec, prompts, together):
    limit = sorted(len(c.tokens) for c in together)[len(together) // 2]
    short = generate(trained, codec, prompts, limit)
    assert [c.tokens for c in short] == [c.tokens[:limit] for c in together] and all(len(c.probabilities) == len(c.tokens) for c in short)
    assert all(c.finished == (len(whole.tokens) <= limit) for c, whole in zip(short, together))
    assert any(len(c.tokens) == limit and c.finished for c in short)
    assert not all(c.finished for c in short) and generate(trained, codec, [], limit) == []


def test_rows_that_have_ended_leave_the_batch(trained, codec, prompts, together):
    sizes = []
    hook = trained.embed.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    generate(trained, codec, prompts, LIMIT)
    hook.remove()
    assert sizes[0] == len(prompts) > sizes[-1] and sizes == sorted(sizes, reverse=True)
    assert sum(sizes) < 1.5 * sum(len(c.tokens) for c in together)
