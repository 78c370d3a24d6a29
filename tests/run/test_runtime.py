"""Seeds, devices, exit codes."""

import json
import os
import signal
import subprocess
import sys
from itertools import product

import pytest
import torch

from minisi.run.runtime import (
    UserError,
    chunks,
    cli,
    dice,
    environment,
    peak_memory,
    pick_device,
    seed_for,
    torch_dice,
)


def python(code, **variables):
    """What a process that runs the code printed, and how it ended."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)


def test_seeds_differ_by_seed_purpose_and_round():
    keys = list(product(range(12), ("dev", "questions", "1"), range(12)))
    seeds = {seed_for(*key) for key in keys}
    assert len(seeds) == len(keys)
    assert min(seeds) >= 0
    assert max(seeds) < 2**63


def test_a_seed_is_the_same_in_another_process():
    code = "from minisi.run.runtime import seed_for; print(seed_for(3, 'dev', 2))"
    assert int(python(code, PYTHONHASHSEED="7").stdout) == seed_for(3, "dev", 2)


def python_numbers(device, *key):
    numbers = dice(*key)
    return [numbers.random() for _ in range(3)]


def torch_numbers(device, *key):
    return torch.rand(3, device=device, generator=torch_dice(device, *key)).tolist()


@pytest.mark.parametrize("roll", [python_numbers, torch_numbers])
def test_dice_repeat_and_neighbours_share_nothing(roll, device):
    rolled = roll(device, 1, "dev", 0)
    assert roll(device, 1, "dev", 0) == rolled
    for neighbour in ((2, "dev", 0), (1, "dev", 1), (1, "test", 0)):
        assert not set(rolled) & set(roll(device, *neighbour))


def test_a_missing_gpu_is_the_users_error_only_if_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("cpu")[0] == "cpu"
    assert pick_device("auto")[0] == "cpu"
    with pytest.raises(UserError, match="--device cpu"):
        pick_device("cuda")


def test_products_are_as_precise_as_numbers(monkeypatch):
    settings = torch.backends.mkldnn.matmul
    pick_device("cpu")
    for shape in ((96, 96), (2, 96, 96), (2048, 96)):  # small, a stack, large
        a, b = torch.rand(shape), torch.rand(*shape[:-2], 96, 96)
        precise = a.double() @ b.double()
        torch.testing.assert_close(a @ b, precise.float(), rtol=1e-5, atol=1e-4)

    one = torch.eye(256)
    monkeypatch.setattr(torch, "eye", lambda n: one * (1 - 2**-9))
    pick_device("cpu")  # on a processor that rounds
    assert settings.fp32_precision == "ieee"
    monkeypatch.undo()
    pick_device("cpu")


def test_the_machine_is_used_and_described(device):
    found, why = pick_device("auto")
    assert found == device
    facts = environment(found, why)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["torch"] == torch.__version__
    assert (facts["device"], facts["why"]) == (device, why)


@pytest.mark.skipif(sys.platform == "win32", reason="not told there")
def test_memory_is_told_in_mebibytes():
    assert 32 < peak_memory() < 2**20


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ("UserError('use --device cpu')", 1, "error: use --device cpu\n"),
        ("FileNotFoundError(2, 'No such file', 'runs/x')", 1, "runs/x"),
        ("KeyboardInterrupt", 130, "interrupted: what is finished is saved"),
        ("KeyboardInterrupt(143)", 143, "terminated: "),
    ],
)
def test_a_failure_is_one_line_and_its_exit_code(error, code, message):
    lines = ["from minisi.run.runtime import *", "def main():", f"    raise {error}", "cli(main)"]
    done = python("\n".join(lines))
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_real_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)  # pytest keeps its own
    with pytest.raises(ZeroDivisionError):
        cli(lambda: 1 / 0)


@pytest.mark.parametrize(
    ("size", "wanted"), [(2, ["ab", "cd", "e"]), (5, ["abcde"]), (9, ["abcde"])]
)
def test_chunks_are_the_items_in_order_so_many_at_a_time(size, wanted):
    assert chunks("abcde", size) == wanted
    assert chunks("", size) == []
