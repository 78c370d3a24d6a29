"""Muon against torch's, and the schedule."""

import pytest
import torch

from minisi.optim import Muon, build, orthogonalise, schedule

SHAPES = [(24, 8), (8, 24), (16, 16)]


def normal(*shape, device="cpu", seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


@pytest.mark.parametrize("ns_steps", [3, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_few_steps_of_muon_go_where_torchs_go(shape, ns_steps, device):
    start = normal(*shape, device=device)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    settings = dict(lr=0.02, momentum=0.9, weight_decay=0.5, ns_steps=ns_steps)
    pair = [(ours, Muon([ours], **settings)), (theirs, torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **settings))]
    for step in range(4):
        for p, optimizer in pair:
            p.grad = normal(*shape, device=device, seed=step + 1)
            optimizer.step()
    assert (ours - theirs).norm() < 0.01 * (theirs - start).norm()  # torch's iterations are in bf16


@pytest.mark.parametrize("steps", [0, 1, 3, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_newton_schulz_is_its_polynomial_on_the_singular_values(shape, steps, device):
    G = normal(1, *shape, device=device)
    U, s, V = torch.linalg.svd(G[0].double() / G.norm(), full_matrices=False)
    for _ in range(steps):
        s = sum(c * s**power for c, power in zip((3.4445, -4.7750, 2.0315), (1, 3, 5)))
    torch.testing.assert_close(orthogonalise(G, steps)[0].double(), U * s @ V, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_orthogonalise_brings_singular_values_near_one(shape, device):
    U, _, V = torch.linalg.svd(normal(*shape, device=device), full_matrices=False)
    G = U * torch.logspace(-1.5, 1.5, min(shape), device=device) @ V  # a condition number of 1,000
    before, after = torch.linalg.svdvals(G / G.norm()), torch.linalg.svdvals(orthogonalise(G[None], 5)[0])
    assert before.min() < 1e-2 and after[:-2].min() > 0.5 and after.max() < 1.3


def test_a_stack_is_the_same_as_one_at_a_time(device):
    G = normal(5, 12, 20, device=device) * torch.logspace(-3, 3, 5, device=device)[:, None, None]
    torch.testing.assert_close(orthogonalise(G, 5), torch.cat([orthogonalise(g[None], 5) for g in G]), atol=1e-4, rtol=1e-3)
    together, alone = ([torch.nn.Parameter(g.clone()) for g in G] for _ in range(2))
    for optimizer in (Muon(together, lr=0.1), *(Muon([p], lr=0.1) for p in alone)):
        for p in optimizer.param_groups[0]["params"]:
            p.grad = p.detach().clone()
        optimizer.step()
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)


def test_without_a_gradient_nothing_moves(device):
    p, q, r = (torch.nn.Parameter(normal(8, 8, device=device)) for _ in range(3))
    q.grad, r.grad = normal(8, 8, device=device, seed=1), torch.zeros_like(r)
    Muon([p, q, r], lr=0.1).step()
    assert torch.equal(p, r) and torch.equal(p, normal(8, 8, device=device)) and not torch.equal(q, p)


def test_each_weight_has_one_optimiser_and_blocks_have_muon(tiny):
    model = tiny()
    muon, adamw = ([p for group in o.param_groups for p in group["params"]] for o in build(model, model.blocks, 0.1))
    assert {id(p) for p in muon} == {id(p) for p in model.blocks.parameters()}
    assert {id(p) for p in adamw} == {id(model.embed.weight), id(model.head.weight)} and len(adamw) == 2


@pytest.mark.parametrize("steps", [1, 30, 60, 240, 1000])
def test_the_schedule_rises_stays_and_falls_to_zero(steps):
    rates = [schedule(step, steps) for step in range(steps + 1)]
    peak = rates.index(max(rates))
    assert rates[-1] == 0 and all(0 < rate <= 1 for rate in rates[:-1])
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert steps < 60 or (max(rates) == 1 and rates[steps // 2] == 1 and rates[0] < 0.1)
