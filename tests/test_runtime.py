"""Seeds, devices, exit codes."""

import json
import os
import subprocess
import sys
from itertools import product

import pytest
import torch

from minisi.runtime import UserError, cli, dice, environment, pick_device, seed_for, torch_dice


def test_seeds_differ_by_seed_purpose_and_round():
    seeds = [seed_for(*key) for key in product(range(12), ("dev", "questions", "1"), range(12))]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_is_the_same_in_another_process():
    code = "from minisi.runtime import seed_for; print(seed_for(3, 'dev', 2))"
    out = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True)
    assert int(out.stdout) == seed_for(3, "dev", 2)


def test_dice_repeat_and_neighbours_share_nothing(device):
    python, torches = (lambda *key: [dice(*key).random() for _ in range(3)]), (lambda *key: torch.rand(3, device=device, generator=torch_dice(device, *key)).tolist())
    for roll in (python, torches):
        assert roll(1, "dev", 0) == roll(1, "dev", 0)
        assert not set(roll(1, "dev", 0)) & set(roll(2, "dev", 0) + roll(1, "dev", 1) + roll(1, "test", 0))


def test_a_missing_gpu_is_the_users_error_only_if_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("cpu")[0] == pick_device("auto")[0] == "cpu"
    with pytest.raises(UserError, match="--device cpu"):
        pick_device("cuda")


def test_the_machine_is_used_and_described(device):
    found, why = pick_device("auto")
    facts = environment(found, why)
    assert found == device and json.loads(json.dumps(facts)) == facts and facts["torch"] == torch.__version__


@pytest.mark.parametrize(
    "error, code, message",
    [("UserError('use --device cpu')", 1, "error: use --device cpu\n"), ("FileNotFoundError(2, 'No such file', 'runs/x')", 1, "runs/x"), ("KeyboardInterrupt", 130, "interrupted: what is finished is saved"), ("KeyboardInterrupt(143)", 143, "terminated: ")],
)
def test_a_failure_is_one_line_and_its_exit_code(error, code, message):
    program = f"from minisi.runtime import *\ndef main(): raise {error}\ncli(main)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.returncode == code and message in out.stderr and out.stderr.count("\n") == 1


def test_a_real_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli(lambda: 1 / 0)
