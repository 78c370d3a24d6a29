"""The optimisers against torch's, and the schedule."""

import pytest
import torch
from torch.nn import Parameter

from minisi.model.optim import AdamW, Muon, build, orthogonalise, schedule

from ..programs import python

SHAPES = [(30, 8), (8, 24), (16, 16)]


def normal(*shape, device="cpu", seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


def copies(weights):
    return [Parameter(weight.clone()) for weight in weights]


@pytest.mark.parametrize("ns_steps", [3, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_few_steps_of_muon_go_where_torchs_go(shape, ns_steps, device, monkeypatch):
    # Torch's iterations are in bf16; here they have full precision, as ours.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    start = normal(*shape, device=device)
    ours, theirs = copies([start, start])
    settings = {"lr": 0.02, "momentum": 0.9, "ns_steps": ns_steps}
    like_ours = {"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.0}
    muon = Muon([ours], **settings)
    torchs = torch.optim.Muon([theirs], **settings, **like_ours)
    for step, rate in enumerate((0.5, 1.0, 1.0, 0.1)):
        torchs.param_groups[0]["lr"] = 0.02 * rate
        gradient = normal(*shape, device=device, seed=step + 1)
        ours.grad = gradient.clone()
        theirs.grad = gradient.clone()
        muon.step(rate)
        torchs.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 1e-4 * moved


def test_steps_of_adamw_go_where_torchs_go(device):
    start = [normal(*shape, device=device) for shape in SHAPES]
    ours, theirs = copies(start), copies(start)
    adamw = AdamW(ours, lr=0.02)
    torchs = torch.optim.AdamW(theirs, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    for step, rate in enumerate((1.0, 0.5, 0.1)):
        torchs.param_groups[0]["lr"] = 0.02 * rate
        for seed, pair in enumerate(zip(ours, theirs, strict=True)):
            for p in pair:
                p.grad = normal(*p.shape, device=device, seed=10 * step + seed)
        adamw.step(rate)
        torchs.step()
    assert all(map(torch.equal, ours, theirs))
    adamw.zero_grad()
    assert all(p.grad is None for p in ours)


A_STEP = """
import sys, torch
from minisi.model.optim import AdamW, Muon
for kind in (AdamW, Muon):
    p = torch.nn.Parameter(torch.ones(2, 2))
    p.sum().backward()
    kind([p], 0.1).step()
print("torch._dynamo" in sys.modules)
"""


def test_no_compiler_is_loaded():
    assert python("-c", A_STEP).stdout == "False\n"


@pytest.mark.parametrize("steps", [0, 1, 3, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_newton_schulz_is_its_polynomial_on_the_singular_values(shape, steps, device):
    G = normal(1, *shape, device=device)
    U, s, V = torch.linalg.svd(G[0].double() / G.norm(), full_matrices=False)
    for _ in range(steps):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    found = orthogonalise(G, steps)[0].double()
    torch.testing.assert_close(found, U * s @ V, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_orthogonalise_brings_singular_values_near_one(shape, device):
    U, _, V = torch.linalg.svd(normal(*shape, device=device), full_matrices=False)
    spread = torch.logspace(-1.5, 1.5, min(shape), device=device)  # a condition number of 1,000
    G = U * spread @ V
    before = torch.linalg.svdvals(G / G.norm())
    after = torch.linalg.svdvals(orthogonalise(G[None], 5)[0])
    assert before.min() < 1e-2
    assert after[:-2].min() > 0.5
    assert after.max() < 1.3


@pytest.mark.parametrize("shape", [*SHAPES, (128, 512), (64, 64)], ids=str)
def test_a_step_is_about_as_large_as_one_of_adamw(shape, device):
    (weight,) = copies([torch.zeros(shape, device=device)])
    weight.grad = normal(*shape, device=device, seed=1)
    Muon([weight], lr=0.01).step()
    assert 0.12 < weight.square().mean().sqrt() / 0.01 < 0.25  # AdamW's are 0.2 to 0.4
    assert torch.linalg.matrix_norm(weight, 2) < 1.3 * 0.01 * 0.2 * max(shape) ** 0.5


def a_stack(device):
    """Five matrices (5, 12, 20), the last a million times as large as the first."""
    sizes = torch.logspace(-3, 3, 5, device=device)
    return normal(5, 12, 20, device=device) * sizes[:, None, None]


def test_a_stack_is_orthogonalised_as_one_at_a_time(device):
    G = a_stack(device)
    one_by_one = torch.cat([orthogonalise(matrix[None], 5) for matrix in G])
    torch.testing.assert_close(orthogonalise(G, 5), one_by_one, atol=1e-4, rtol=1e-3)


def test_a_stack_steps_as_one_at_a_time(device):
    G = a_stack(device)
    together = copies(G)
    alone = copies(G)
    for p in together + alone:
        p.grad = p.detach().clone()
    Muon(together, lr=0.1).step()
    for p in alone:
        Muon([p], lr=0.1).step()
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)


def test_queries_keys_and_values_step_each_by_themselves(device):
    parts = normal(3, 8, 8, device=device)
    (fused,) = copies([parts.flatten(0, 1)])
    fused.grad = fused.detach().clone()
    Muon([fused], lr=0.1).step()
    alone = copies(parts)
    for p in alone:
        p.grad = p.detach().clone()
        Muon([p], lr=0.1).step()
    torch.testing.assert_close(fused, torch.cat(alone), atol=1e-4, rtol=1e-3)


def test_without_a_gradient_nothing_moves(device):
    start = normal(8, 8, device=device)
    without, with_one, with_zeros = copies([start, start, start])
    with_one.grad = normal(8, 8, device=device, seed=1)
    with_zeros.grad = torch.zeros_like(start)
    Muon([without, with_one, with_zeros], lr=0.1).step()
    assert torch.equal(without, start)
    assert torch.equal(with_zeros, start)
    assert not torch.equal(with_one, start)


def ids_of(weights):
    return sorted(id(weight) for weight in weights)


def test_each_weight_has_one_optimiser_and_blocks_have_muon(tiny):
    model = tiny()
    muon, adamw = build(model, model.blocks, 0.1)
    assert (type(muon), type(adamw)) == (Muon, AdamW)
    assert ids_of(muon.params) == ids_of(model.blocks.parameters())
    assert ids_of(adamw.params) == ids_of([model.embed.weight, model.head.weight])


@pytest.mark.parametrize("steps", [1, 30, 60, 240, 1000])
def test_the_schedule_rises_stays_and_falls_to_zero(steps):
    rates = [schedule(step, steps) for step in range(steps + 1)]
    peak = rates.index(max(rates))
    rising = rates[: peak + 1]
    falling = rates[peak:]
    assert rates[-1] == 0
    assert all(0 < rate <= 1 for rate in rates[:-1])
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    if steps >= 60:
        assert max(rates) == 1
        assert rates[steps // 2] == 1
        assert rates[0] < 0.1
