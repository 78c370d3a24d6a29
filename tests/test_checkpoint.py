"""Commits that come back as they were, and folders that are what they say.  How they fare when things go wrong is in test_faults.py."""

import errno
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from minisi import checkpoint
from minisi.checkpoint import (
    BASE_SETTINGS, RUN_SETTINGS, append_rows, commit, cut_logs, lock, new_model, read_rows, read_state, settings, write, write_json,
)  # fmt: skip
from minisi.config import Config
from minisi.optim import build
from minisi.runtime import UserError

CONFIG = Config(n_layer=1, n_embd=16, n_head=2, n_hidden=24, seed=3, base_steps=5)
FACTS = {"config": asdict(CONFIG), "tokens": 7}


@pytest.fixture
def base(tmp_path, device):
    model = new_model(CONFIG, device)
    torch.nn.init.normal_(model.blocks[0].attn_out.weight)
    (tmp_path / "base").mkdir()
    commit(tmp_path / "base", 5, {"model": model.state_dict()}, FACTS)
    return tmp_path / "base", model


@pytest.fixture
def run(tmp_path, device):
    """A run of rounds 0 to 4, with a row a round in its log."""
    (tmp_path / "run").mkdir()
    models = [new_model(replace(CONFIG, seed=round), device) for round in range(5)]
    for round, model in enumerate(models):
        append_rows(tmp_path / "run" / "metrics.jsonl", [{"round": round}])
        commit(tmp_path / "run", round, {"model": model.state_dict()}, {"config": asdict(CONFIG), "corrections": 10 * round})
    return tmp_path / "run", models


def same(a, b):
    return all(torch.equal(x, y) and x.device == y.device for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_a_base_comes_back_as_it_was(base, device):
    folder, model = base
    state = read_state(folder)
    assert (state.number, state.facts["tokens"]) == (5, 7) and same(new_model(CONFIG, device, state), model)
    assert {p.name for p in folder.iterdir()} == {"model-5.pt", "manifest-5.json"}


def test_an_optimiser_comes_back_as_it_was(tmp_path, device):
    model = new_model(CONFIG, device)
    optimizers = build(model, model.blocks, 0.01)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    for optimizer in optimizers:
        optimizer.step()
    commit(tmp_path, 1, {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers]}, FACTS)
    twin = new_model(CONFIG, device, read_state(tmp_path))
    again = build(twin, twin.blocks, 0.01)
    for optimizer, saved in zip(again, read_state(tmp_path).tensors["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    for m, group in ((model, optimizers), (twin, again)):
        for weight in m.parameters():
            weight.grad = torch.ones_like(weight) / 3
        for optimizer in group:
            optimizer.step()
    assert same(model, twin)


def test_new_weights_follow_the_seed_and_not_the_device(device):
    a, b, c = new_model(CONFIG, device), new_model(CONFIG, "cpu"), new_model(replace(CONFIG, seed=4), "cpu")
    assert torch.equal(a.head.weight.cpu(), b.head.weight) and not torch.equal(b.head.weight, c.head.weight)


def test_the_newest_three_states_are_kept_and_the_newest_is_read(run, device):
    folder, models = run
    assert {p.name for p in folder.iterdir()} == {"metrics.jsonl", *(f"{kind}-{n}.{end}" for kind, end in (("model", "pt"), ("manifest", "json")) for n in (2, 3, 4))}
    state = read_state(folder)
    assert (state.number, state.facts["corrections"]) == (4, 40) and same(new_model(CONFIG, device, state), models[4])


def test_the_newest_is_the_highest_number_and_not_the_last_in_the_alphabet(tmp_path):
    for number in (9, 10, 100):
        commit(tmp_path, number, {"model": {}}, FACTS)
    assert read_state(tmp_path).number == 100


def test_without_a_commit_there_is_no_state(tmp_path):
    write(tmp_path / "model-0.pt", b"half a commit")
    assert read_state(tmp_path) is None is read_state(tmp_path / "nowhere")


@pytest.mark.parametrize("place", [0.02, 0.5, 0.98])
def test_a_model_with_a_flipped_bit_is_passed_over_for_the_state_before(place, run, device, capsys):
    folder, models = run
    content = bytearray((folder / "model-4.pt").read_bytes())
    content[int(place * len(content))] ^= 1
    (folder / "model-4.pt").write_bytes(content)
    state = read_state(folder)
    assert state.number == 3 and same(new_model(CONFIG, device, state), models[3])
    assert "model-4.pt" in capsys.readouterr().err


def test_where_no_state_is_whole_the_remedy_is_said(base):
    os.truncate(base[0] / "model-5.pt", 100)
    with pytest.raises(UserError, match="restore .* or delete"):
        read_state(base[0])


def test_a_log_counts_as_far_as_it_was_committed(run):
    folder, _ = run
    append_rows(folder / "metrics.jsonl", [{"round": 5}, {"round": 6}])
    state = read_state(folder)
    assert state.number == 4
    cut_logs(folder, state)
    assert [row["round"] for row in read_rows(folder / "metrics.jsonl")] == [0, 1, 2, 3, 4]
    os.truncate(folder / "metrics.jsonl", (folder / "metrics.jsonl").stat().st_size - 1)
    assert read_state(folder).number == 3


def test_a_state_with_a_weight_that_is_not_finite_is_never_committed(run):
    folder, models = run
    before = {p: p.read_bytes() for p in folder.iterdir()}
    with torch.no_grad():
        models[4].head.weight[0, 0] = torch.inf
    with pytest.raises(FloatingPointError):
        commit(folder, 5, {"model": models[4].state_dict()}, FACTS)
    assert {p: p.read_bytes() for p in folder.iterdir()} == before


def test_settings_are_those_that_the_state_was_made_with(base, run):
    assert settings(base[0], {}) == {name: asdict(CONFIG)[name] for name in BASE_SETTINGS} and settings(base[0] / "nowhere", {}) == {}
    assert settings(run[0], asdict(CONFIG), RUN_SETTINGS, run=True)["seed"] == 3


def test_an_option_that_clashes_with_what_was_made_is_the_users_error(base, run):
    assert settings(base[0], {"n_head": 2, "rounds": 9}) == settings(base[0], {})
    with pytest.raises(UserError, match="n_embd 16, not 32; n_head 2, not 4"):
        settings(base[0], {"n_head": 4, "n_embd": 32})
    with pytest.raises(UserError, match="seed 3, not 4"):
        settings(run[0], asdict(replace(CONFIG, seed=4)), RUN_SETTINGS, run=True)


def test_a_run_may_get_more_rounds_and_other_folders(run):
    assert settings(run[0], asdict(replace(CONFIG, rounds=99, base="a", out="b", device="cpu")), RUN_SETTINGS, run=True)


def test_a_run_is_no_base_and_a_base_no_run(base, run):
    with pytest.raises(UserError, match="a run"):
        settings(run[0], {})
    with pytest.raises(UserError, match="a base"):
        settings(base[0], {}, RUN_SETTINGS, run=True)


def test_a_folder_of_another_version_is_refused(tmp_path):
    write(tmp_path / "model.pt", b"as version 1 had it")
    with pytest.raises(UserError, match="another version"):
        settings(tmp_path, {})


def test_a_folder_is_locked_for_one_at_a_time(tmp_path):
    held = lock(tmp_path / "a" / "b")
    with pytest.raises(UserError, match="another run"):
        lock(tmp_path / "a" / "b")
    held.close()
    lock(tmp_path / "a" / "b")


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_is_data_and_never_runs_code(tmp_path):
    commit(tmp_path, 1, {"model": {}, "extra": Harm(tmp_path / "harm")}, FACTS)
    with pytest.raises(UserError):
        read_state(tmp_path)
    assert not (tmp_path / "harm").exists()


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write(tmp_path / "a", "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    for make in (lambda: write(tmp_path / "a", "new"), lambda: write_json(tmp_path / "a", {}), lambda: checkpoint.write_tensors(tmp_path / "a", {})):
        with pytest.raises(OSError):
            make()
    assert (tmp_path / "a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_what_is_written_is_read(tmp_path, device):
    write_json(tmp_path / "a", {"x": [1, 2.5, "é"]})
    assert json.loads((tmp_path / "a").read_text()) == {"x": [1, 2.5, "é"]}
    commit(tmp_path, 1, {"model": {"w": torch.ones(2, device=device)}}, {"x": [1, 2.5, "é"], **FACTS})
    state = read_state(tmp_path)
    assert state.facts["x"] == [1, 2.5, "é"] and state.tensors["model"]["w"].tolist() == [1, 1] and state.tensors["model"]["w"].device.type == "cpu"
    assert json.loads((tmp_path / "manifest-1.json").read_text().splitlines()[0])["files"].keys() == {"model-1.pt"}


def test_a_log_grows_row_by_row(tmp_path):
    rows = [{"round": 0, "x": [0.1, 2]}, {"round": 1, "text": "é\n"}]
    assert read_rows(tmp_path / "log") == []
    for n, row in enumerate(rows):
        append_rows(tmp_path / "log", [row])
        assert read_rows(tmp_path / "log") == rows[: n + 1]
    append_rows(tmp_path / "log", [])
    append_rows(tmp_path / "log", rows)
    assert read_rows(tmp_path / "log") == rows * 2
