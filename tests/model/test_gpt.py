"""The transformer against a plain one, and who sees whom among texts in one line."""

from copy import deepcopy
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from minisi.lab.peers import olmo
from minisi.model.gpt import MORE, Texts, at_a_time

from ..passes import line, packed, plain, random_texts

LENGTHS = [1, 40, 3, 17, 2, 90, 8, 8, 1, 33]
ROWS = [1, 2, 3, 8, 100]
assert_close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-4)


def same(found, wanted, **tolerance):
    for ours, theirs in zip(found, wanted, strict=True):
        assert_close(ours.double(), theirs.double(), **tolerance)


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


def test_new_blocks_are_the_identity(tiny):
    model = tiny(busy=False)
    texts = random_texts(model, LENGTHS)
    for ids, logits in zip(texts, packed(model, texts), strict=True):
        embedded = model.embed.weight[ids]
        torch.testing.assert_close(logits, model.head(F.layer_norm(embedded, (32,))))


def test_a_seed_gives_the_same_weights_and_another_seed_others(tiny):
    model = tiny(busy=False)
    twin = tiny(busy=False)
    other = tiny(busy=False, seed=5)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(model.head.weight, other.head.weight)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("order", ["mixed", "short first", "long first"])
def test_the_logits_are_those_of_a_plain_pass_over_each_text_alone(order, rows, tiny):
    lengths = {
        "mixed": LENGTHS,
        "short first": sorted(LENGTHS),
        "long first": sorted(LENGTHS, reverse=True),
    }[order]
    model = tiny()
    exact = deepcopy(model).double()
    texts = random_texts(model, lengths)
    same(packed(model, texts, rows), [plain(exact, ids) for ids in texts])


@pytest.mark.parametrize("lengths", [[1], [13], [1] * 9, [120, 1]], ids=str)
@pytest.mark.parametrize("n_head", [1, 2, 4])
def test_so_they_are_for_few_or_short_texts_and_any_heads(n_head, lengths, tiny):
    model = tiny(n_head=n_head, n_layer=3)
    exact = deepcopy(model).double()
    texts = random_texts(model, lengths)
    same(packed(model, texts), [plain(exact, ids) for ids in texts])


@pytest.mark.parametrize("rows", ROWS)
def test_the_order_of_the_texts_changes_nothing(rows, tiny):
    model = tiny()
    texts = random_texts(model, LENGTHS)
    backwards = packed(model, texts[::-1], rows)
    same(backwards[::-1], packed(model, texts, rows))


@pytest.mark.parametrize("rows", ROWS)
def test_no_text_sees_another(rows, tiny):
    model = tiny()
    texts = random_texts(model, LENGTHS)
    others = random_texts(model, LENGTHS, seed=1)
    before = packed(model, texts, rows)
    for i, other in enumerate(others):
        after = packed(model, [*texts[:i], other, *texts[i + 1 :]], rows)
        assert (after[i] - before[i]).abs().max() > 1e-2
        same(after[:i], before[:i], atol=1e-6)
        same(after[i + 1 :], before[i + 1 :], atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_a_token_sees_itself_and_what_is_before_it_in_its_text_alone(rows, tiny):
    model = tiny()
    lengths = [3, 7, 1, 5, 5]
    ids = torch.randperm(model.embed.num_embeddings - 1)[: sum(lengths)] + 1  # each once
    texts = [part.tolist() for part in ids.split(lengths)]
    seen = []
    for logits in torch.cat(packed(model, texts, rows)):
        (gradient,) = torch.autograd.grad(logits.norm(), model.embed.weight, retain_graph=True)
        seen.append(gradient[ids].abs().amax(1) > 0)
    expected = torch.block_diag(*(torch.ones(n, n).tril() for n in lengths))
    assert torch.equal(torch.stack(seen).cpu(), expected.bool())


def test_a_later_token_changes_no_earlier_logits(tiny):
    model = tiny()
    texts = random_texts(model, [11, 7, 30])
    changed = [[*ids[:6], ids[6] % 7 + 1, *ids[7:]] for ids in texts]
    assert all(a != b for a, b in zip(changed, texts, strict=True))
    for before, after in zip(packed(model, texts), packed(model, changed), strict=True):
        assert_close(before[:6], after[:6], atol=1e-6)
        assert ((before - after)[6:].abs().amax(1) > 1e-3).all()


def test_only_the_distance_of_two_tokens_counts_not_where_they_are(tiny, device):
    model = tiny()
    texts = random_texts(model, LENGTHS)
    attend = Texts(LENGTHS, device)
    tokens = line(model, texts)
    logits = model(tokens, attend.positions, attend)
    of_each = torch.arange(len(LENGTHS)).repeat_interleave(torch.tensor(LENGTHS)).to(device)
    shifted = model(tokens, attend.positions + 11 * of_each, attend)
    assert_close(shifted, logits, atol=1e-4)
    stretched = model(tokens, 2 * attend.positions, attend)
    assert (stretched - logits).abs().max() > 1e-2


@pytest.mark.parametrize(("length", "together"), [(90, 1), (40, 5), (10, 22)])
def test_few_long_texts_are_attended_to_together(length, together, device, monkeypatch):
    monkeypatch.setattr("minisi.model.gpt.SCORES", 5 * 48**2)  # 40 is filled up to 48
    sizes = [shape[0] for _, shape, _ in Texts([length] * 200, device).groups]
    assert sizes[0] == min(200, at_a_time(together, torch.device(device)))
    assert sum(sizes) == 200


@pytest.mark.parametrize("rows", ROWS)
def test_attention_and_its_gradients_are_torchs_of_one_text_at_a_time(rows, device):
    generator = torch.Generator().manual_seed(0)
    shape = (sum(LENGTHS), 2, 8)
    ours = [torch.randn(shape, generator=generator).to(device).requires_grad_() for _ in "qkv"]
    theirs = [x.detach().clone().requires_grad_() for x in ours]
    pull = torch.randn(shape, generator=generator).to(device)

    attend = Texts(LENGTHS, device, rows)
    found = attend(0, *ours)
    parts = zip(*(x.transpose(0, 1).split(LENGTHS, 1) for x in theirs), strict=True)
    each = [F.scaled_dot_product_attention(*qkv, is_causal=True) for qkv in parts]
    wanted = torch.cat(each, 1).transpose(0, 1)
    for y in (found, wanted):
        (y * pull).sum().backward()

    assert attend.positions.tolist() == [t for n in LENGTHS for t in range(n)]
    assert_close(found, wanted)
    same([x.grad for x in ours], [x.grad for x in theirs])


def test_the_weights_make_an_olmo(tiny):
    pytest.importorskip("transformers")
    model = tiny()
    texts = random_texts(model, LENGTHS)
    made = olmo(model).eval()
    alone = [made(line(model, [ids])[None]).logits[0] for ids in texts]
    same(packed(model, texts), alone)


@pytest.mark.parametrize(("kind", "wanted"), [("cpu", 5), ("cuda", 5 * MORE), ("cuda:1", 5 * MORE)])
def test_more_go_at_once_on_a_gpu(kind, wanted):
    assert at_a_time(5, torch.device(kind)) == wanted
