"""Full passes: a plain one of a text alone, and the model's own over texts in one line."""

from itertools import chain

import torch

from minisi.model.gpt import ROWS, Texts


def random_texts(model, lengths, seed=0):
    """Ids of a text of each length, the end of text not among them."""
    generator = torch.Generator().manual_seed(seed)
    V = model.embed.num_embeddings
    return [torch.randint(1, V, (n,), generator=generator).tolist() for n in lengths]


def line(model, texts):
    """The ids of all texts (N,), one behind the other."""
    return torch.tensor(list(chain.from_iterable(texts)), device=model.embed.weight.device)


def packed(model, texts, rows=ROWS):
    """Logits (T, V) of each text's ids, in one pass over all."""
    lengths = [len(ids) for ids in texts]
    attend = Texts(lengths, model.embed.weight.device, rows)
    return model(line(model, texts), attend.positions, attend).split(lengths)


def norm(x):
    centred = x - x.mean(-1, keepdim=True)
    variance = x.var(-1, unbiased=False, keepdim=True)
    return centred / (variance + 1e-5).sqrt()


def turned(x):
    """Rotary positions of (T, H, D), as a product of complex numbers."""
    T, _, D = x.shape
    rates = 10_000.0 ** (-2 * torch.arange(D // 2).double() / D)
    angles = torch.outer(torch.arange(T).double(), rates)[:, None]
    turns = torch.polar(torch.ones_like(angles), angles).to(x.device)
    numbers = torch.complex(x[..., : D // 2], x[..., D // 2 :]) * turns
    return torch.cat((numbers.real, numbers.imag), -1).to(x)


def attention(q, k, v):
    """Causal, (T, H, D) each, with its softmax written out."""
    T, _, D = q.shape
    scores = torch.einsum("thd,shd->hts", turned(q), turned(k)) / D**0.5
    later = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)
    shares = scores.masked_fill(later, -torch.inf).softmax(2)
    return torch.einsum("hts,shd->thd", shares, v)


def plain(model, ids):
    """Logits (T, V) of one text: the same function of the same weights, which get gradients."""
    x = model.embed.weight[line(model, [ids])]
    for block in model.blocks:
        parts = block.qkv(norm(x)).chunk(3, 1)
        y = attention(*(part.unflatten(1, (model.n_head, -1)) for part in parts))
        x = x + block.attn_out(y.flatten(1))
        gate, up = block.gate_up(norm(x)).chunk(2, 1)
        x = x + block.mlp_out(gate * gate.sigmoid() * up)
    return model.head(norm(x))
