"""Files that are whole or not there, and folders that are what they say."""

import os
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch

from minisi.checkpoint import (
    append_row, has_base, load_weights, new_model, new_run, read_json, read_rows, read_settings, save_base, write, write_json,
    write_tensors,
)  # fmt: skip
from minisi.config import Config
from minisi.runtime import UserError

CONFIG = Config(n_layer=1, n_embd=16, n_head=2, n_hidden=24, seed=3, base_steps=5)


@pytest.fixture
def base(tmp_path, device):
    model = new_model(CONFIG, device)
    torch.nn.init.normal_(model.blocks[0].attn_out.weight)
    save_base(tmp_path / "base", CONFIG, model)
    return tmp_path / "base", model


def test_a_base_comes_back_as_it_was(base, device):
    folder, model = base
    loaded = load_weights(folder, CONFIG, device)
    assert has_base(folder) and list(loaded.state_dict()) == list(model.state_dict())
    assert all(torch.equal(a, b) and a.device == b.device for a, b in zip(loaded.parameters(), model.parameters()))
    settings = {f.name: getattr(CONFIG, f.name) for f in fields(CONFIG) if f.metadata["group"] in ("model", "pretraining")}
    assert read_settings(folder) == settings and {p.name for p in folder.iterdir()} == {"config.json", "model.pt", "manifest.json"}


def test_new_weights_follow_the_seed_and_not_the_device(device):
    a, b, c = new_model(CONFIG, device), new_model(CONFIG, "cpu"), new_model(replace(CONFIG, seed=4), "cpu")
    assert torch.equal(a.head.weight.cpu(), b.head.weight) and not torch.equal(b.head.weight, c.head.weight)


@pytest.mark.parametrize("place", [0.02, 0.5, 0.98])
def test_a_flipped_byte_is_refused(place, base, device):
    path = base[0] / "model.pt"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="delete .* and run again"):
        load_weights(base[0], CONFIG, device)


def rewrite(path, **changed):
    write_json(path, {**read_json(path), **changed})


DAMAGE = {
    "no model": lambda folder: (folder / "model.pt").unlink(),
    "a torn manifest": lambda folder: write(folder / "manifest.json", "{"),
    "another vocabulary": lambda folder: rewrite(folder / "manifest.json", vocabulary=["<eos>"]),
    "another format": lambda folder: rewrite(folder / "manifest.json", format=10**6),
    "no manifest, as in a run, and half a model": lambda folder: (folder / "manifest.json").unlink() or os.truncate(folder / "model.pt", 1000),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_refused(damage, base, device):
    DAMAGE[damage](base[0])
    with pytest.raises(UserError, match="delete .* and run again"):
        load_weights(base[0], CONFIG, device)


@pytest.mark.parametrize("change", [dict(n_layer=2), dict(n_embd=32), dict(n_hidden=32)], ids=str)
def test_weights_of_another_shape_are_refused(change, base, device):
    with pytest.raises(UserError):
        load_weights(base[0], replace(CONFIG, **change), device)


def test_settings_that_are_not_those_of_the_weights_are_refused(base, device):
    rewrite(base[0] / "config.json", n_head=4)
    with pytest.raises(UserError):
        load_weights(base[0], Config(**read_settings(base[0])), device)


def test_an_option_that_clashes_with_the_base_is_the_users_error(base):
    assert read_settings(base[0], {"n_head": 2, "rounds": 9}) == read_settings(base[0])
    with pytest.raises(UserError, match="n_head"):
        read_settings(base[0], {"n_head": 4})


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"n_layer": "many"}'])
def test_settings_that_cannot_be_read_are_the_users_error(content, tmp_path):
    write(tmp_path / "config.json", content)
    with pytest.raises(UserError, match="config.json"):
        read_settings(tmp_path)


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_is_data_and_never_runs_code(tmp_path, device):
    torch.save({"head.weight": Harm(tmp_path / "harm")}, tmp_path / "model.pt")
    with pytest.raises(UserError):
        load_weights(tmp_path, CONFIG, device)
    assert not (tmp_path / "harm").exists()


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write(tmp_path / "a", "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    for make in (lambda: write(tmp_path / "a", "new"), lambda: write_json(tmp_path / "a", {}), lambda: write_tensors(tmp_path / "a", {})):
        with pytest.raises(OSError):
            make()
    assert (tmp_path / "a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_what_is_written_is_read(tmp_path, device):
    write_json(tmp_path / "a", {"x": [1, 2.5, "é"]})
    assert read_json(tmp_path / "a") == {"x": [1, 2.5, "é"]}
    write_tensors(tmp_path / "b", {"w": torch.ones(2, device=device, requires_grad=True)})
    w = torch.load(tmp_path / "b", weights_only=True)["w"]
    assert w.device.type == "cpu" and not w.requires_grad and w.tolist() == [1, 1]


def test_a_log_grows_row_by_row(tmp_path):
    rows = [{"round": 0, "x": [0.1, 2]}, {"round": 1, "text": "é\n"}]
    assert read_rows(tmp_path / "log") == []
    for n, row in enumerate(rows):
        append_row(tmp_path / "log", row)
        assert read_rows(tmp_path / "log") == rows[: n + 1]


def test_a_run_is_never_made_over_another(tmp_path):
    new_run(tmp_path / "a" / "b", CONFIG, {"device": "cpu"})
    assert read_json(tmp_path / "a" / "b" / "config.json") == asdict(CONFIG) and read_json(tmp_path / "a" / "b" / "env.json") == {"device": "cpu"}
    assert (tmp_path / "a" / "b" / "adapters").is_dir()
    append_row(tmp_path / "a" / "b" / "metrics.jsonl", {"round": 0})
    with pytest.raises(UserError, match="--out"):
        new_run(tmp_path / "a" / "b", replace(CONFIG, seed=9), {})
    assert read_json(tmp_path / "a" / "b" / "config.json")["seed"] == 3
