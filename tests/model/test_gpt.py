"""The transformer against a plain one, its cache and its masks."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from minisi.model.gpt import Cache
from minisi.model.tokenizer import EOS

assert_close = partial(torch.testing.assert_close, atol=2e-4, rtol=1e-3)


def some_ids(model, rows=3, length=11):
    """Random tokens (rows, length), on the model's device, the end of text not among them."""
    vocabulary = model.embed.num_embeddings
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, vocabulary, (rows, length), generator=generator)
    return ids.to(model.embed.weight.device)


def causal(size, device):
    """(size, size), true where a row may look at a column: at itself and what is before it."""
    return torch.ones(size, size, dtype=torch.bool, device=device).tril()


def plain_norm(x):
    centred = x - x.mean(-1, keepdim=True)
    variance = x.var(-1, unbiased=False, keepdim=True)
    return centred / (variance + 1e-5).sqrt()


def turned(x):
    """Rotary positions of (T, D), as a product of complex numbers."""
    T, D = x.shape
    rates = 10_000.0 ** (-2 * torch.arange(D // 2).double() / D)
    angles = torch.outer(torch.arange(T).double(), rates)
    turns = torch.polar(torch.ones_like(angles), angles).to(x.device)
    numbers = torch.complex(x[:, : D // 2], x[:, D // 2 :]) * turns
    return torch.cat((numbers.real, numbers.imag), 1)


def plain_attention(q, k, v):
    """One head, (T, D) each, with its softmax written out."""
    T, D = q.shape
    scores = turned(q) @ turned(k).T / D**0.5
    hidden = scores.masked_fill(~causal(T, q.device), -torch.inf)
    return hidden.softmax(1) @ v


def plain_block(x, weights, n_head):
    C = x.size(1)
    q, k, v = (plain_norm(x) @ weights["qkv"].T).split(C, 1)
    heads = [part.split(C // n_head, 1) for part in (q, k, v)]
    seen = [plain_attention(*head) for head in zip(*heads, strict=True)]
    x = x + torch.cat(seen, 1) @ weights["attn_out"].T
    gate, up = (plain_norm(x) @ weights["gate_up"].T).chunk(2, 1)
    return x + (gate * gate.sigmoid() * up) @ weights["mlp_out"].T


def plain(model, tokens):
    """The same function of the same weights, for one row, in double precision."""
    weights = {name: p.detach().double() for name, p in model.named_parameters()}
    x = weights["embed.weight"][tokens]
    for i in range(len(model.blocks)):
        names = ("qkv", "attn_out", "gate_up", "mlp_out")
        block = {name: weights[f"blocks.{i}.{name}.weight"] for name in names}
        x = plain_block(x, block, model.n_head)
    return plain_norm(x) @ weights["head.weight"].T


def test_names_and_shapes_are_the_designs(tiny, codec):
    V = len(codec.vocabulary)
    C = 16
    hidden = 24
    expected = {"embed.weight": (V, C), "head.weight": (V, C)}
    for i in range(2):
        expected[f"blocks.{i}.qkv.weight"] = (3 * C, C)
        expected[f"blocks.{i}.attn_out.weight"] = (C, C)
        expected[f"blocks.{i}.gate_up.weight"] = (2 * hidden, C)
        expected[f"blocks.{i}.mlp_out.weight"] = (C, hidden)

    state = tiny(n_embd=C, n_hidden=hidden).state_dict()
    assert {name: tuple(weight.shape) for name, weight in state.items()} == expected


def test_the_logits_are_those_of_a_plain_implementation(tiny):
    model = tiny()
    tokens = some_ids(model)
    for row, logits in zip(tokens, model(tokens), strict=True):
        assert_close(logits.double(), plain(model, row))


def test_a_later_token_changes_no_earlier_logits(tiny, codec):
    model = tiny()
    tokens = some_ids(model)
    changed = tokens.clone()
    changed[:, 6] = (tokens[:, 6] + 1) % len(codec.vocabulary)

    before = model(tokens)
    after = model(changed)
    assert_close(before[:, :6], after[:, :6])
    for t in range(6, 11):
        assert (before[:, t] - after[:, t]).abs().max() > 1e-2


def test_new_blocks_are_the_identity(tiny):
    model = tiny(busy=False)
    tokens = some_ids(model)
    normed = F.layer_norm(model.embed(tokens), (32,))
    torch.testing.assert_close(model(tokens), model.head(normed))


def test_a_seed_gives_the_same_weights_and_another_seed_others(tiny):
    model = tiny(busy=False)
    twin = tiny(busy=False)
    other = tiny(busy=False, seed=5)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(model.head.weight, other.head.weight)


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "unmasked"])
@pytest.mark.parametrize("sizes", [[4, 7], [5, 1, 1, 4], [1] * 11, [70, 1]], ids=str)
def test_a_cache_gives_the_logits_of_a_full_pass(sizes, masked, tiny, device):
    model = tiny()
    tokens = some_ids(model, length=sum(sizes))
    cache = Cache(model, len(tokens))
    parts = []
    start = 0
    for size in sizes:
        end = start + size
        mask = causal(end, device)[None, None, start:] if masked else None
        parts.append(model(tokens[:, start:end], cache, mask))
        start = end

    assert cache.length == sum(sizes)
    assert_close(torch.cat(parts, 1), model(tokens))


def test_rows_that_leave_the_cache_leave_the_others_alone(tiny, device):
    model = tiny()
    tokens = some_ids(model)
    rows = torch.tensor([2, 0], device=device)
    cache = Cache(model, 3)
    model(tokens[:, :10], cache)
    cache.keep(rows)

    mask = torch.ones(1, 1, 1, 11, dtype=torch.bool, device=device)
    last = model(tokens[rows, 10:], cache, mask)
    assert_close(last, model(tokens)[rows, 10:])


def test_left_padding_behind_a_mask_changes_nothing(tiny, device):
    model = tiny()
    tokens = some_ids(model)
    pad = 5
    padding = torch.full((3, pad), EOS, device=device)
    not_padding = torch.arange(16, device=device) >= pad
    itself = torch.eye(16, dtype=torch.bool, device=device)
    mask = (causal(16, device) & not_padding) | itself

    logits = model(torch.cat((padding, tokens), 1), mask=mask[None, None])
    assert_close(logits[:, pad:], model(tokens))


def olmo_weights(model):
    """The weights under the names that OLMo has in transformers."""
    weights = {
        "model.embed_tokens.weight": model.embed.weight,
        "lm_head.weight": model.head.weight,
    }
    for i, block in enumerate(model.blocks):
        q, k, v = block.qkv.weight.chunk(3)
        gate, up = block.gate_up.weight.chunk(2)
        attention = {"q": q, "k": k, "v": v, "o": block.attn_out.weight}
        mlp = {"gate": gate, "up": up, "down": block.mlp_out.weight}
        for name, weight in attention.items():
            weights[f"model.layers.{i}.self_attn.{name}_proj.weight"] = weight
        for name, weight in mlp.items():
            weights[f"model.layers.{i}.mlp.{name}_proj.weight"] = weight
    return weights


def test_the_weights_make_an_olmo(tiny, codec, device):
    transformers = pytest.importorskip("transformers")
    config = transformers.OlmoConfig(
        vocab_size=len(codec.vocabulary),
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=None,
        eos_token_id=EOS,
        tie_word_embeddings=False,
    )
    model = tiny()
    tokens = some_ids(model)
    olmo = transformers.OlmoForCausalLM(config).to(device).eval()
    olmo.load_state_dict(olmo_weights(model))
    assert_close(olmo(tokens).logits, model(tokens))
