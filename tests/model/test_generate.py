"""Decoding in batches."""

import math
from itertools import chain

import pytest
import torch

from minisi.model.generate import ROOM, SHRINK, decode, generate
from minisi.model.gpt import LINE, ROWS, at_a_time, even
from minisi.model.tokenizer import EOS
from minisi.run.runtime import dice
from minisi.tasks.problems import draw

from ..passes import plain

LIMIT = 60
FAMILIES = ("add", "sub", "chain", "logic")


@pytest.fixture(scope="module")
def prompts():
    rng = dice(1, "prompts")
    cells = [(level, family) for level in (2, 1, 4) for family in FAMILIES]
    return [draw(rng, "dev", family, level).prompt for level, family in cells for _ in range(3)]


@pytest.fixture(scope="module")
def together(trained, codec, prompts):
    return generate(trained, codec, prompts, LIMIT)


def seeded(device, seed=0):
    return torch.Generator(device).manual_seed(seed)


def lengths(completions):
    return [len(completion.tokens) for completion in completions]


def expected(model, ids):
    """A full pass: log probabilities (T - 1, V) of what could stand at each place but the first."""
    logits = plain(model, ids)[:-1].detach()
    return logits.double().log_softmax(-1).cpu()


def probabilities(logs, ids):
    """Of each token, by the log probabilities of its place."""
    column = torch.tensor(ids)[:, None]
    return logs.exp().gather(1, column).squeeze(1).tolist()


def full_passes(model, codec, prompts, completions):
    """(completion, log probabilities of what could stand in it) for each."""
    for start, completion in zip(codec.encode(prompts), completions, strict=True):
        logs = expected(model, start + completion.tokens)
        yield completion, logs[len(start) - 1 :]


def test_a_batch_writes_what_its_rows_write_alone(trained, codec, prompts, together):
    assert len(set(lengths(together))) > 3
    assert sum(completion.finished for completion in together) > len(prompts) / 4

    for prompt, completion in zip(prompts, together, strict=True):
        (alone,) = generate(trained, codec, [prompt], LIMIT)
        assert alone.text == completion.text
        assert alone.tokens == completion.tokens
        assert alone.finished == completion.finished
        assert alone.probabilities == pytest.approx(completion.probabilities, abs=1e-4)


@pytest.mark.parametrize("batch", [1, 5, 100])
def test_answers_come_in_the_order_of_the_prompts(batch, trained, codec, prompts, together):
    texts = {prompt: c.text for prompt, c in zip(prompts, together, strict=True)}
    for order in (prompts, prompts[::-1], sorted(prompts, key=len, reverse=True)):
        found = generate(trained, codec, order, LIMIT, batch=batch)
        assert [completion.text for completion in found] == [texts[prompt] for prompt in order]


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_tokens_and_probabilities_are_those_of_a_full_pass(
    temperature, trained, codec, prompts, device
):
    sampling = {"temperature": temperature, "generator": seeded(device)}
    found = generate(trained, codec, prompts, LIMIT, **sampling)
    for completion, logs in full_passes(trained, codec, prompts, found):
        tokens = completion.tokens
        assert completion.probabilities == pytest.approx(probabilities(logs, tokens), abs=1e-4)
        if temperature == 0:
            assert tokens == logs.argmax(1).tolist()
        assert [completion.text] == codec.decode([tokens])
        assert completion.finished == (tokens[-1] == EOS)
        assert EOS not in tokens[:-1]


def test_a_model_that_finds_no_end_writes_to_the_limit_however_far(tiny, codec, prompts):
    model = tiny()
    with torch.no_grad():
        model.head.weight[EOS] = 0  # an end is never the likeliest
    limit = 2 * ROOM + 7
    found = generate(model, codec, prompts, limit)
    assert set(lengths(found)) == {limit}
    assert not any(completion.finished or completion.whole for completion in found)
    for completion, logs in full_passes(model, codec, prompts, found):
        likely = probabilities(logs, completion.tokens)
        assert completion.probabilities == pytest.approx(likely, abs=1e-4)
        assert likely == pytest.approx(logs.exp().amax(1).tolist(), abs=1e-4)


def test_the_prompts_probabilities_are_those_of_a_full_pass(trained, codec, prompts, together):
    ids = codec.encode(prompts)
    for prompt, tokens, completion in zip(prompts, ids, together, strict=True):
        known = probabilities(expected(trained, tokens), tokens[1:])
        (alone,) = generate(trained, codec, [prompt], 1)
        for found in (completion, alone):
            assert found.prompt_probabilities == pytest.approx(known, rel=1e-3, abs=1e-9)
    assert len({len(completion.prompt_probabilities) for completion in together}) > 3


@pytest.mark.parametrize(("temperature", "limit"), [(0.0, LIMIT), (0.8, LIMIT), (0.8, 9)])
def test_the_entropy_is_the_mean_of_a_full_pass(
    temperature, limit, trained, codec, prompts, device
):
    sampling = {"temperature": temperature, "generator": seeded(device)}
    found = generate(trained, codec, prompts, limit, **sampling)
    for completion, logs in full_passes(trained, codec, prompts, found):
        entropies = -(logs.exp() * logs).sum(1)
        assert completion.entropy == pytest.approx(entropies.mean().item(), abs=1e-4)

    assert len(set(lengths(found))) > 3
    assert len({len(prompt) for prompt in prompts}) > 3
    finished = [completion.finished for completion in found]
    assert any(finished)
    assert limit == LIMIT or not all(finished)
    entropies = [completion.entropy for completion in found]
    assert max(entropies) > min(entropies) + 0.01


@pytest.mark.parametrize("limit", [1, 7])
def test_a_model_that_knows_nothing_has_the_entropy_of_all_its_tokens(limit, tiny, codec):
    model = tiny(busy=False)
    torch.nn.init.zeros_(model.head.weight)
    found = generate(model, codec, ["7+6|", "347+586|"], limit)
    most = math.log(len(codec.vocabulary))
    assert [completion.entropy for completion in found] == pytest.approx([most, most])


def test_a_prompt_of_one_token_has_no_probabilities(trained, codec):
    (alone,) = generate(trained, codec, ["7"], 3)
    together = generate(trained, codec, ["7", "347+586|", "4+4|"], 3)
    assert alone.prompt_probabilities == []
    assert together[0].prompt_probabilities == []
    assert len(together[2].prompt_probabilities) == 3
    assert alone.tokens == together[0].tokens


def test_sampling_repeats_with_its_generator(trained, codec, prompts, device):
    def texts(seed):
        sampling = {"temperature": 1.0, "generator": seeded(device, seed)}
        return [c.text for c in generate(trained, codec, prompts, LIMIT, **sampling)]

    first = texts(1)
    assert first == texts(1)
    assert first != texts(2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_are_as_frequent_as_they_are_likely(temperature, tiny, codec, device):
    model = tiny()
    n = 4000
    sampling = {"temperature": temperature, "generator": seeded(device)}
    drawn = generate(model, codec, ["7+6|"] * n, 1, batch=n, **sampling)

    tokens = torch.tensor([completion.tokens[0] for completion in drawn])
    found = torch.bincount(tokens, minlength=len(codec.vocabulary)) / n
    (prompt,) = codec.encode(["7+6|"])
    logits = plain(model, prompt)[-1].detach().cpu()
    p = (logits / temperature).softmax(-1)

    deviation = (p * (1 - p) / n).sqrt()
    assert p.max() < 0.9
    assert ((found - p).abs() < 5 * deviation + 2 / n).all()


def test_out_of_room_is_not_finished_but_an_end_in_the_last_place_is(
    trained, codec, prompts, together
):
    ended = sorted(lengths([completion for completion in together if completion.finished]))
    limit = ended[len(ended) // 2]
    short = generate(trained, codec, prompts, limit)
    for cut, full in zip(short, together, strict=True):
        assert cut.tokens == full.tokens[:limit]
        assert len(cut.probabilities) == len(cut.tokens)
        assert cut.finished == (len(full.tokens) <= limit)
        assert cut.whole == (full.text if cut.finished else "")
    assert any(len(cut.tokens) == limit and cut.finished for cut in short)
    assert not all(cut.finished for cut in short)


@pytest.mark.parametrize(
    ("batch", "places", "most"), [(5, 2**16, 5), (256, 100, 25), (256, 4, ROWS)]
)
def test_prompts_of_like_length_are_decoded_together_as_many_as_there_is_room_for(
    batch, places, most, trained, codec, prompts, device, monkeypatch
):
    batches = []

    def noted(model, ids, *settings):
        batches.append([len(row) for row in ids])
        return decode(model, ids, *settings)

    monkeypatch.setattr("minisi.model.generate.decode", noted)
    monkeypatch.setattr("minisi.model.generate.WRITE_PLACES", places)
    generate(trained, codec, prompts, 4, batch=batch)
    assert max(map(len, batches)) == min(len(prompts), at_a_time(most, torch.device(device)))
    met = list(chain(*reversed(batches)))  # the longest come first
    assert met == sorted(met)


def test_without_prompts_nothing_is_written(trained, codec):
    assert generate(trained, codec, [], LIMIT) == []


def test_rows_that_have_ended_leave_the_batch(trained, codec, prompts, together):
    sizes = []

    def count(module, inputs):
        sizes.append(len(inputs[0]))

    hook = trained.embed.register_forward_pre_hook(count)
    generate(trained, codec, prompts, LIMIT)
    hook.remove()
    first, *rest = sizes
    assert 0 < first - sum(map(len, codec.encode(prompts))) <= LINE
    assert first % LINE == 0
    assert len(rest) == max(lengths(together)) - 1
    for t, size in enumerate(rest, 1):
        going = sum(length > t for length in lengths(together))
        assert going <= size <= even(going) / SHRINK
    assert rest[-1] < len(prompts)
