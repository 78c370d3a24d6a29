"""The transformer against a plain one, its cache and its masks."""

import pytest
import torch
import torch.nn.functional as F

from minisi.model import Cache
from minisi.tokenizer import EOS, VOCABULARY

V = len(VOCABULARY)
close = dict(atol=2e-4, rtol=1e-3)


def ids(device, B=3, T=11, seed=0):
    return torch.randint(1, V, (B, T), generator=torch.Generator().manual_seed(seed)).to(device)


def plain(model, tokens):
    """The same function of the same weights for one row, with complex rotations and a softmax written out."""
    w, (T,) = {name: p.detach().double() for name, p in model.named_parameters()}, tokens.shape
    C, H = w["embed.weight"].size(1), model.n_head
    D = C // H
    turns = torch.polar(torch.ones(T, D // 2).double(), torch.outer(torch.arange(T), 10_000.0 ** (-2 * torch.arange(D // 2) / D)).double()).to(tokens.device)

    def norm(x):
        return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()

    def turned(x):  # (T, D)
        z = torch.complex(x[:, : D // 2], x[:, D // 2 :]) * turns
        return torch.cat((z.real, z.imag), 1)

    x = w["embed.weight"][tokens]
    future = torch.ones(T, T, device=tokens.device).triu(1).bool()
    for i in range(len(model.blocks)):
        q, k, v = (norm(x) @ w[f"blocks.{i}.qkv.weight"].T).split(C, 1)
        heads = []
        for h in range(H):
            part = slice(h * D, (h + 1) * D)
            scores = turned(q[:, part]) @ turned(k[:, part]).T / D**0.5
            heads.append(scores.masked_fill(future, -torch.inf).softmax(1) @ v[:, part])
        x = x + torch.cat(heads, 1) @ w[f"blocks.{i}.attn_out.weight"].T
        gate, up = (norm(x) @ w[f"blocks.{i}.gate_up.weight"].T).chunk(2, 1)
        x = x + (gate * gate.sigmoid() * up) @ w[f"blocks.{i}.mlp_out.weight"].T
    return norm(x) @ w["head.weight"].T


def test_names_and_shapes_are_the_designs(tiny):
    C, FF = 16, 24
    blocks = {"qkv": (3 * C, C), "attn_out": (C, C), "gate_up": (2 * FF, C), "mlp_out": (C, FF)}
    expected = {f"blocks.{i}.{name}.weight": shape for i in range(2) for name, shape in blocks.items()}
    found = {name: tuple(p.shape) for name, p in tiny(n_embd=C, n_hidden=FF).state_dict().items()}
    assert found == {"embed.weight": (V, C), "head.weight": (V, C), **expected}


def test_the_logits_are_those_of_a_plain_implementation(tiny, device):
    model, tokens = tiny(), ids(device)
    for row, logits in zip(tokens, model(tokens)):
        torch.testing.assert_close(logits.double(), plain(model, row), **close)


def test_a_later_token_changes_no_earlier_logits(tiny, device):
    model, a = tiny(), ids(device)
    b = a.clone()
    b[:, 6] = (a[:, 6] + 1) % V
    one, other = model(a), model(b)
    torch.testing.assert_close(one[:, :6], other[:, :6], **close)
    assert all((one[:, t] - other[:, t]).abs().max() > 1e-2 for t in range(6, 11))


def test_new_blocks_are_the_identity_and_a_seed_gives_the_same_weights(tiny, device):
    model, tokens = tiny(busy=False), ids(device)
    torch.testing.assert_close(model(tokens), model.head(F.layer_norm(model.embed(tokens), (32,))))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), tiny(busy=False).parameters()))
    assert not torch.equal(model.head.weight, tiny(busy=False, seed=5).head.weight)


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "unmasked"])
@pytest.mark.parametrize("sizes", [[4, 7], [5, 1, 1, 4], [1] * 11, [70, 1]], ids=str)
def test_a_cache_gives_the_logits_of_a_full_pass(sizes, masked, tiny, device):
    model, tokens, start = tiny(), ids(device, T=sum(sizes)), 0
    cache, parts = Cache(model, len(tokens)), []
    for size in sizes:
        end = start + size
        mask = torch.ones(end, end, device=device).tril().bool()[None, None, start:end] if masked else None
        parts.append(model(tokens[:, start:end], cache, mask))
        start = end
    assert cache.length == sum(sizes)
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens), **close)


def test_rows_that_leave_the_cache_leave_the_others_alone(tiny, device):
    model, tokens, rows = tiny(), ids(device), torch.tensor([2, 0], device=device)
    cache = Cache(model, 3)
    model(tokens[:, :10], cache)
    cache.keep(rows)
    mask = torch.ones(1, 1, 1, 11, dtype=torch.bool, device=device)
    torch.testing.assert_close(model(tokens[rows, 10:], cache, mask), model(tokens)[rows, 10:], **close)


def test_left_padding_behind_a_mask_changes_nothing(tiny, device):
    model, tokens, pad = tiny(), ids(device), 5
    padded = torch.cat((torch.full((3, pad), EOS, device=device), tokens), 1)
    mask = torch.ones(16, 16, device=device).tril().bool() & (torch.arange(16, device=device) >= pad) | torch.eye(16, device=device).bool()
    torch.testing.assert_close(model(padded, mask=mask[None, None])[:, pad:], model(tokens), **close)


def test_the_weights_make_an_olmo(tiny, device):
    transformers = pytest.importorskip("transformers")
    model, state = tiny(), {}
    config = transformers.OlmoConfig(
        vocab_size=V, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, pad_token_id=None, eos_token_id=EOS, tie_word_embeddings=False
    )
    for i, block in enumerate(model.blocks):
        parts = [*block.qkv.weight.chunk(3), block.attn_out.weight, *block.gate_up.weight.chunk(2), block.mlp_out.weight]
        names = [*(f"self_attn.{c}_proj" for c in "qkvo"), *(f"mlp.{name}_proj" for name in ("gate", "up", "down"))]
        state.update({f"model.layers.{i}.{name}.weight": part for name, part in zip(names, parts, strict=True)})
    olmo = transformers.OlmoForCausalLM(config).to(device).eval()
    olmo.load_state_dict({"model.embed_tokens.weight": model.embed.weight, "lm_head.weight": model.head.weight, **state})
    torch.testing.assert_close(olmo(ids(device)).logits, model(ids(device)), **close)
