"""Commits that come back as they were, and folders that are what they say.

How they fare when things go wrong is in tests/faults.
"""

import errno
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from minisi.model.gpt import GPT
from minisi.model.optim import build
from minisi.run.checkpoint import (
    State,
    check_run,
    check_settings,
    commit,
    cut_logs,
    lock,
    made_with,
    read_state,
    write_tensors,
)
from minisi.run.config import BASE_SETTINGS, Config
from minisi.run.files import append_rows, read_rows, sha256, write
from minisi.run.runtime import ROOT, UserError

CONFIG = Config(n_layer=1, n_embd=16, n_head=2, n_hidden=24, seed=3, base_steps=5)
SETTINGS = asdict(CONFIG)
WORDS = "a checksum"  # of the vocabulary
TEST = sha256((ROOT / CONFIG.test).read_bytes())
BASE = {"vocabulary": WORDS, "config": SETTINGS, "tokens": 7}
EMPTY = {"model": {}}


@pytest.fixture
def new_model(device, codec):
    """Makes the model of a state, or an untrained one."""

    def make(state=None, device=device, **changed):
        model = GPT(replace(CONFIG, **changed), len(codec.vocabulary))
        if state:
            model.load_state_dict(state.tensors["model"])
        return model.to(device)

    return make


@pytest.fixture
def base(tmp_path, new_model):
    """A base after step 5, and its model."""
    folder = tmp_path / "base"
    folder.mkdir()
    model = new_model()
    torch.nn.init.normal_(model.blocks[0].attn_out.weight)
    commit(folder, 5, {"model": model.state_dict()}, BASE)
    return folder, model


@pytest.fixture
def run(tmp_path, new_model):
    """A run of rounds 0 to 4, with a row a round in its log, and their models."""
    folder = tmp_path / "run"
    folder.mkdir()
    models = [new_model(seed=round) for round in range(5)]
    for round, model in enumerate(models):
        append_rows(folder / "metrics.jsonl", [{"round": round}])
        facts = {"vocabulary": WORDS, "config": SETTINGS, "corrections": 10 * round, "test": TEST}
        commit(folder, round, {"model": model.state_dict()}, facts)
    return folder, models


def same(one, other):
    """Whether two models have the same weights in the same place."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) and a.device == b.device for a, b in pairs)


def rounds(folder):
    """The rounds in a run's log."""
    return [row["round"] for row in read_rows(folder / "metrics.jsonl")]


# States.


def test_a_base_comes_back_as_it_was(base, new_model):
    folder, model = base
    state = read_state(folder)
    assert state.number == 5
    assert state.facts["tokens"] == 7
    assert same(new_model(state), model)
    assert {path.name for path in folder.iterdir()} == {"model-5.pt", "manifest-5.json"}


def train_a_step(model, optimizers, gradient):
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, gradient)
    for optimizer in optimizers:
        optimizer.step()


def test_an_optimiser_comes_back_as_it_was(tmp_path, new_model):
    model = new_model()
    optimizers = build(model, model.blocks, 0.01)
    train_a_step(model, optimizers, 1)
    states = [optimizer.state for optimizer in optimizers]
    commit(tmp_path, 1, {"model": model.state_dict(), "optimizers": states}, BASE)

    state = read_state(tmp_path)
    twin = new_model(state)
    assert same(twin, model)
    again = build(twin, twin.blocks, 0.01)
    for optimizer, saved in zip(again, state.tensors["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    train_a_step(model, optimizers, 1 / 3)
    train_a_step(twin, again, 1 / 3)
    assert same(model, twin)


def test_new_weights_follow_the_seed_and_not_the_device(new_model):
    here = new_model().head.weight
    on_cpu = new_model(device="cpu").head.weight
    of_another_seed = new_model(device="cpu", seed=4).head.weight
    assert torch.equal(here.cpu(), on_cpu)
    assert not torch.equal(on_cpu, of_another_seed)


def test_the_newest_three_states_are_kept_and_the_newest_is_read(run, new_model):
    folder, models = run
    models_kept = {f"model-{number}.pt" for number in (2, 3, 4)}
    manifests_kept = {f"manifest-{number}.json" for number in (2, 3, 4)}
    found = {path.name for path in folder.iterdir()}
    assert found == {"metrics.jsonl"} | models_kept | manifests_kept

    state = read_state(folder)
    assert state.number == 4
    assert state.facts["corrections"] == 40
    assert same(new_model(state), models[4])


def test_the_newest_is_the_highest_number_and_not_the_last_in_the_alphabet(tmp_path):
    for number in (9, 10, 100):
        commit(tmp_path, number, EMPTY, BASE)
    assert read_state(tmp_path).number == 100


def test_without_a_commit_there_is_no_state(tmp_path):
    write(tmp_path / "model-0.pt", b"half a commit")
    assert read_state(tmp_path) is None
    assert read_state(tmp_path / "nowhere") is None


@pytest.mark.parametrize("place", [0.02, 0.5, 0.98])
def test_a_model_with_a_flipped_bit_is_passed_over_for_the_state_before(
    place, run, new_model, capsys
):
    folder, models = run
    newest = folder / "model-4.pt"
    content = bytearray(newest.read_bytes())
    content[int(place * len(content))] ^= 1
    newest.write_bytes(content)

    state = read_state(folder)
    assert state.number == 3
    assert same(new_model(state), models[3])
    assert newest.name in capsys.readouterr().err


def test_where_no_state_is_whole_the_remedy_is_said(base):
    folder, _ = base
    os.truncate(folder / "model-5.pt", 100)
    with pytest.raises(UserError, match=r"restore .* or delete"):
        read_state(folder)


def test_a_state_of_another_vocabulary_does_not_count_for_who_asks(base, capsys):
    folder, _ = base
    assert read_state(folder, WORDS).number == 5
    with pytest.raises(UserError, match="can't be used here"):
        read_state(folder, "another checksum")
    assert "other families of questions" in capsys.readouterr().err


def test_a_log_counts_as_far_as_it_was_committed(run):
    folder, _ = run
    log = folder / "metrics.jsonl"
    append_rows(log, [{"round": 5}, {"round": 6}])
    state = read_state(folder)
    assert state.number == 4
    cut_logs(folder, state)
    assert rounds(folder) == [0, 1, 2, 3, 4]

    os.truncate(log, log.stat().st_size - 1)
    assert read_state(folder).number == 3


def test_without_a_state_no_log_counts(tmp_path):
    append_rows(tmp_path / "metrics.jsonl", [{"round": 0}])
    cut_logs(tmp_path, None)
    assert rounds(tmp_path) == []


def test_a_state_with_a_weight_that_is_not_finite_is_never_committed(run):
    folder, models = run
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with torch.no_grad():
        models[4].head.weight[0, 0] = torch.inf
    with pytest.raises(FloatingPointError):
        commit(folder, 5, {"model": models[4].state_dict()}, BASE)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_what_is_committed_is_read(tmp_path, device):
    content = [1, 2.5, "é"]
    ones = torch.ones(2, device=device)
    commit(tmp_path, 1, {"model": {"w": ones}}, {"x": content, **BASE})
    state = read_state(tmp_path)
    assert state.facts["x"] == content
    weight = state.tensors["model"]["w"]
    assert weight.tolist() == [1, 1]
    assert weight.device.type == "cpu"

    manifest = json.loads((tmp_path / "manifest-1.json").read_text())
    assert manifest["files"].keys() == {"model-1.pt"}


# Settings.


def check_base(folder, **wanted):
    check_settings(folder, read_state(folder), wanted)


def check_the_run(folder, **changed):
    check_run(folder, read_state(folder), {**SETTINGS, **changed})


def test_settings_are_those_that_the_base_was_made_with(base):
    folder, _ = base
    assert made_with(folder) == {name: SETTINGS[name] for name in BASE_SETTINGS}
    assert made_with(folder / "nowhere") == {}


def test_settings_are_read_from_the_newest_manifest_that_is_whole(run):
    folder, _ = run
    (folder / "model-4.pt").unlink()
    os.truncate(folder / "manifest-4.json", 100)
    assert made_with(folder)["n_embd"] == 16
    for number in (2, 3):
        write(folder / f"manifest-{number}.json", "7\n8\n")
    assert made_with(folder) == {}


def test_an_option_that_clashes_with_what_was_made_is_the_users_error(base, run):
    check_base(base[0], n_head=2, rounds=9)
    check_the_run(run[0])
    with pytest.raises(UserError, match="n_embd 16, not 32; n_head 2, not 4"):
        check_base(base[0], n_head=4, n_embd=32)
    with pytest.raises(UserError, match="seed 3, not 4"):
        check_the_run(run[0], seed=4)


def test_a_run_may_get_more_rounds_other_folders_and_other_sets(run):
    check_the_run(run[0], rounds=99, base="a", out="b", sets="c", device="cpu", show=0)


def test_a_run_is_of_the_test_set_that_it_began_with(tmp_path):
    test = tmp_path / "test.jsonl"
    test.write_text("a")
    wanted = {**SETTINGS, "test": str(test)}
    state = State(4, {"config": wanted, "corrections": 0, "test": sha256("a")}, {})
    check_run(tmp_path, state, wanted)
    test.write_text("b")
    with pytest.raises(UserError, match="not the test set that the run in"):
        check_run(tmp_path, state, wanted)


def test_a_run_from_before_a_setting_was_there_had_its_default(tmp_path):
    before = {name: value for name, value in SETTINGS.items() if name != "repeated"}
    state = State(4, {"config": before, "corrections": 0, "test": TEST}, {})
    check_run(tmp_path, state, SETTINGS)
    with pytest.raises(UserError, match=r"repeated 0\.5, not 0\.25: ask for what it was made with"):
        check_run(tmp_path, state, {**SETTINGS, "repeated": 0.25})


def test_a_run_may_be_held_to_more_settings(run):
    wanted = {**SETTINGS, "rounds": 99}
    with pytest.raises(UserError, match=f"rounds {Config().rounds}, not 99"):
        check_run(run[0], read_state(run[0]), wanted, ["rounds"])


def test_a_run_is_no_base_and_a_base_no_run(base, run):
    with pytest.raises(UserError, match="holds a run"):
        check_base(run[0])
    with pytest.raises(UserError, match="holds a base"):
        check_the_run(base[0])


def test_a_memory_that_someone_laid_into_a_new_folder_is_left_as_it_is(tmp_path):
    append_rows(tmp_path / "memory.jsonl", [{"question": "1+2"}])
    with pytest.raises(UserError, match="name another folder"):
        check_the_run(tmp_path)
    assert (tmp_path / "memory.jsonl").read_text() == '{"question": "1+2"}\n'


def test_a_folder_of_another_version_is_refused(tmp_path):
    write(tmp_path / "model.pt", b"as version 1 had it")
    with pytest.raises(UserError, match="another version"):
        check_base(tmp_path)


def test_logs_without_a_state_are_refused_but_not_those_of_a_run_that_just_began(tmp_path):
    log = tmp_path / "metrics.jsonl"
    append_rows(log, [{"round": 0}])
    check_the_run(tmp_path)
    append_rows(log, [{"round": 1}])
    with pytest.raises(UserError, match="without manifest"):
        check_the_run(tmp_path)


def test_a_folder_is_locked_for_one_at_a_time(tmp_path):
    folder = tmp_path / "a" / "b"
    held = lock(folder)
    with pytest.raises(UserError, match="another run"):
        lock(folder)
    held.close()
    lock(folder).close()


# Files.


class Harm:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_is_data_and_never_runs_code(tmp_path):
    harm = tmp_path / "harm"
    commit(tmp_path, 1, {"model": {}, "extra": Harm(harm)}, BASE)
    with pytest.raises(UserError):
        read_state(tmp_path)
    assert not harm.exists()


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_tensors_that_find_no_space_leave_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    write(path, "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_tensors(path, {})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
