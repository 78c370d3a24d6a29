"""The cache of decoding: token by token, the logits are those of a full pass without it."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from minisi.model.generate import ROOM, Cache
from minisi.run.runtime import torchs_products

from ..passes import packed, plain, random_texts

PROMPTS = [[1], [33], [5, 5, 5], [1, 30, 4, 12], [ROOM + 9, 2]]


def one_by_one(model, prompts, rest, keep):
    """(rows of the batch, their logits) of the prompts' ends and after each token of the rest.

    `keep` says after how many tokens which rows are kept.
    """
    device = model.head.weight.device
    cache = Cache(model, prompts, len(rest[0]))
    logits = model(cache.tokens, cache.texts.positions, cache.read)
    yield torch.arange(len(prompts)), logits[cache.ends.cumsum(0) - 1]

    rest = torch.tensor(rest, device=device)
    rows = torch.arange(len(prompts), device=device)
    for t in range(rest.size(1)):
        if t in keep:
            kept = torch.tensor(keep[t], device=device)
            rows = rows[kept]
            cache.keep(kept)
        logits = model(rest[rows, t], cache.ends, cache)
        cache.advance()
        yield rows, logits


def check(model, lengths, steps, keep):
    """Every logit of decoding against a plain pass over each text alone."""
    prompts = random_texts(model, lengths)
    rest = random_texts(model, [steps] * len(lengths), seed=1)
    exact = deepcopy(model).double()
    with torch.inference_mode():
        full = [plain(exact, a + b)[len(a) - 1 :] for a, b in zip(prompts, rest, strict=True)]
        for t, (rows, logits) in enumerate(one_by_one(model, prompts, rest, keep)):
            wanted = torch.stack([full[row][t] for row in rows])
            torch.testing.assert_close(logits.double(), wanted, atol=1e-5, rtol=1e-4)
    assert t == steps


@pytest.mark.parametrize("steps", [1, ROOM, ROOM + 1, 2 * ROOM + 5])
@pytest.mark.parametrize("lengths", PROMPTS, ids=str)
def test_token_by_token_the_logits_are_those_of_a_full_pass(lengths, steps, tiny):
    check(tiny(), lengths, steps, {})


@pytest.mark.parametrize(
    "keep",
    [{0: [1, 3]}, {1: [0, 2, 3], 5: [1]}, {3: [3, 0, 1], 20: [2, 0], 21: [1]}],
    ids=str,
)
def test_texts_that_leave_the_cache_leave_the_others_alone(keep, tiny):
    check(tiny(), [1, 30, 4, 12], 2 * ROOM + 5, keep)


def test_prompts_are_read_as_by_a_full_pass(tiny):
    model = tiny()
    prompts = random_texts(model, [30, 1, 4, 12])
    cache = Cache(model, prompts, 1)
    read = model(cache.tokens, cache.texts.positions, cache.read)
    wanted = torch.cat(packed(model, prompts))
    torch.testing.assert_close(read[: len(wanted)], wanted, atol=1e-5, rtol=1e-4)


def test_the_newest_token_attends_by_torchs_own_products(tiny, monkeypatch):
    settings = torch.backends.mkldnn.matmul
    attention = F.scaled_dot_product_attention
    met = set()

    def noted(*tensors, **settled):
        met.add(settings.fp32_precision)
        return attention(*tensors, **settled)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    with torchs_products():  # which restores what other tests go by
        settings.fp32_precision = "bf16"
        check(tiny(), [3, 1], 2, {})
        assert met == {"ieee"}
        assert settings.fp32_precision == "bf16"
