"""Adapters on any linear layer."""

import pytest
import torch
from torch import nn

from minisi import lora


def sequence(device):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 10), nn.GELU(), nn.Sequential(nn.Linear(10, 10, bias=False), nn.LayerNorm(10)), nn.Linear(10, 3)).to(device)


@pytest.fixture(params=["sequence", "gpt"])
def subject(request, device, tiny):
    """(module to adapt, function of it): one knows nothing of GPT."""
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)).to(device)
    if request.param == "sequence":
        module = sequence(device)
        return module, lambda: module(x)
    model = tiny()
    return model.blocks, lambda: model((x.abs() * 9).long())


def adapted(module, device, r=4, alpha=8.0):
    parameters = lora.add(module, r, alpha, torch.Generator().manual_seed(2))
    for layer in lora.layers(module).values():
        nn.init.normal_(layer.lora_B, std=0.3)
    return parameters


def test_an_adapter_starts_as_the_identity(subject, device):
    module, run = subject
    before, linears = run(), sum(isinstance(m, nn.Linear) for m in module.modules())
    parameters = lora.add(module, 4, 8.0, torch.Generator())
    assert torch.equal(run(), before)
    assert len(lora.layers(module)) == linears > 2 and len(parameters) == 2 * linears


def test_the_update_is_alpha_over_r_times_B_A_x(device):
    module, x = nn.Sequential(nn.Linear(6, 10)).to(device), torch.randn(4, 6, device=device)
    base = module(x)
    A, B = adapted(module, device, r=3, alpha=12.0)
    assert A.shape == (3, 6) and B.shape == (10, 3)
    torch.testing.assert_close(module(x), base + 12 / 3 * x @ A.T @ B.T)


def test_only_A_and_B_get_gradients(subject, device):
    module, run = subject
    names = {f"{name}.{part}" for name, m in module.named_modules() if isinstance(m, nn.Linear) for part in ("lora_A", "lora_B")}
    parameters = adapted(module, device)
    run().square().sum().backward()
    assert {name for name, p in module.named_parameters() if p.grad is not None} == names == set(lora.state(module))
    assert {name for name, p in module.named_parameters() if p.requires_grad} == names and not any(t.requires_grad for t in lora.state(module).values())
    assert all(p.grad.abs().max() > 0 for p in parameters)


def test_merged_equals_unmerged_and_merging_twice_is_once(subject, device):
    module, run = subject
    base = run()
    adapted(module, device)
    lora.scale(module, 0.5)
    unmerged = run()
    assert (unmerged - base).abs().max() > 0.01
    lora.merge(module)
    once = run()
    torch.testing.assert_close(once, unmerged, atol=1e-4, rtol=1e-3)
    lora.merge(module)
    assert torch.equal(run(), once)
    lora.remove(module)
    assert torch.equal(run(), once) and not lora.layers(module)


def test_scale_0_is_the_base_and_1_is_as_trained(subject, device):
    module, run = subject
    base = run()
    adapted(module, device)
    full = run()
    lora.scale(module, 0)
    assert torch.equal(run(), base)
    lora.scale(module, 1)
    assert torch.equal(run(), full)


def test_removing_without_a_merge_restores_every_bit(subject, device):
    module, run = subject
    before = {name: p.clone() for name, p in module.state_dict().items()}
    adapted(module, device)
    run()
    lora.remove(module)
    after = module.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    assert not any(p.requires_grad for p in module.parameters())


def test_a_generator_of_the_cpu_gives_the_same_adapter_on_any_device(device):
    here, there = (lora.add(sequence(d), 4, 8.0, torch.Generator().manual_seed(3))[0] for d in (device, "cpu"))
    assert torch.equal(here.cpu(), there)
