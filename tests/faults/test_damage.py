"""What is damaged on the disk is passed over for what is whole, and never executed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from minisi.run import checkpoint
from minisi.run.checkpoint import read_manifest, read_state
from minisi.run.files import sha256
from minisi.run.runtime import UserError

from .marks import quick, slow
from .process import lost, one_sentence

# Each harm is given the folder.


def cut(name, size):
    return lambda folder: os.truncate(folder / name, size)


def lengthened(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + b"\0")


def gone(name):
    return lambda folder: (folder / name).unlink()


def exchanged(name, other):
    return lambda folder: shutil.copy(folder / other, folder / name)


def signed(name, **changed):
    return lambda folder: sign(folder / name, **changed)


def sign(path, **changed):
    """Give a manifest other contents and a checksum that is right for them."""
    facts = json.loads(path.read_text())
    del facts["checksum"]
    path.write_text(json.dumps(checkpoint.signed({**facts, **changed})) + "\n")


def unsigned(folder):
    path = folder / "manifest-3.json"
    facts = json.loads(path.read_text())
    del facts["checksum"]
    path.write_text(json.dumps(facts) + "\n")


def a_list(folder):
    (folder / "manifest-3.json").write_text("[]")


def a_folder(folder):
    (folder / "manifest-3.json").unlink()
    (folder / "manifest-3.json").mkdir()


def two_cut(folder):
    os.truncate(folder / "model-3.pt", 9)
    os.truncate(folder / "model-2.pt", 9)


def all_cut(folder):
    for path in folder.glob("model-*"):
        os.truncate(path, 9)


def first_row_in_the_place_of_the_last(folder):
    path = folder / "metrics.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*rows[:-1], rows[0]]))


def last_row_cut(folder):
    path = folder / "answers.jsonl"
    os.truncate(path, path.stat().st_size * 3 // 4)


class Damage(NamedTuple):
    """A damage of a finished run, and what comes of it."""

    harm: Callable[[Path], object]
    named: str  # a file, in the warning
    back_to: int | None = 2  # a round; None where no state is whole


DAMAGE = {
    "a model that was cut": Damage(cut("model-3.pt", 20_000), "model-3.pt"),
    "an empty model": Damage(cut("model-3.pt", 0), "model-3.pt"),
    "no model": Damage(gone("model-3.pt"), "model-3.pt"),
    "a model with more behind it": Damage(lengthened("model-3.pt"), "model-3.pt"),
    "the model of another round": Damage(exchanged("model-3.pt", "model-1.pt"), "model-3.pt"),
    "the base in its place": Damage(exchanged("model-3.pt", "../base/model-24.pt"), "model-3.pt"),
    "no manifest": Damage(gone("manifest-3.json"), ""),
    "an empty manifest": Damage(cut("manifest-3.json", 0), "manifest-3.json"),
    "a manifest that was cut": Damage(cut("manifest-3.json", 400), "manifest-3.json"),
    "a manifest without its checksum": Damage(unsigned, "manifest-3.json"),
    "a manifest that is a list": Damage(a_list, "manifest-3.json"),
    "a manifest of another round": Damage(
        exchanged("manifest-3.json", "manifest-1.json"), "manifest-3.json"
    ),
    "a manifest of another version": Damage(
        signed("manifest-3.json", format=10**6), "manifest-3.json"
    ),
    "another vocabulary": Damage(signed("manifest-3.json", vocabulary="x"), "manifest-3.json"),
    "a manifest without files": Damage(signed("manifest-3.json", files=None), "manifest-3.json"),
    "a manifest that is a folder": Damage(a_folder, "manifest-3.json"),
    "two damaged states": Damage(two_cut, "model-2.pt", 1),
    "a row in another's place": Damage(first_row_in_the_place_of_the_last, "metrics.jsonl"),
    "a log that lost its last row": Damage(last_row_cut, "answers.jsonl"),
    "no memory": Damage(gone("memory.jsonl"), "memory.jsonl", None),
    "no lessons": Damage(gone("lessons.jsonl"), "lessons.jsonl", None),
    "all models cut": Damage(all_cut, "model-1.pt", None),
}
RESUMED = [name for name in DAMAGE if name != "a manifest that is a folder"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_passed_over_with_a_warning_that_names_it(damage, copied, codec, capsys):
    harm, named, back_to = DAMAGE[damage]
    harm(copied / "loop")
    if back_to is None:
        with pytest.raises(UserError, match="loop"):
            read_state(copied / "loop", codec.checksum)
    else:
        assert read_state(copied / "loop", codec.checksum).number == back_to
    assert named in capsys.readouterr().err


@slow
@pytest.mark.parametrize("damage", RESUMED)
def test_a_damaged_run_goes_on_to_the_same_bytes_or_ends_in_a_sentence(
    damage, copied, runs, reference
):
    harm, _, back_to = DAMAGE[damage]
    harm(copied / "loop")
    if back_to is None:
        code, said = runs.run(copied)
        assert code == 1
        assert one_sentence(said)
    else:
        assert lost(runs, copied, reference) == []


BASE_DAMAGE = {
    "a base that was cut": cut("model-24.pt", 50_000),
    "a base without its manifest": gone("manifest-24.json"),
    "a base of another version": signed("manifest-24.json", format=10**6),
    "no base": shutil.rmtree,
}


@pytest.mark.parametrize("damage", quick(BASE_DAMAGE, "a base that was cut"))
def test_a_damaged_base_is_made_anew_from_where_it_was_whole(damage, runs, reference, tmp_path):
    BASE_DAMAGE[damage](reference.copy(tmp_path, "base") / "base")
    assert lost(runs, tmp_path, reference) == []


@slow
def test_a_base_of_which_nothing_is_whole_and_one_of_another_shape_are_a_sentence(
    runs, reference, tmp_path
):
    for path in reference.copy(tmp_path, "base").glob("base/model-*"):
        os.truncate(path, 100)
    code, said = runs.run(tmp_path)
    assert code == 1
    assert one_sentence(said)

    shutil.rmtree(tmp_path / "base")
    code, said = runs.run(tmp_path, "--n_embd", "32", "--rounds", "0")
    assert code == 0, said
    shutil.rmtree(tmp_path / "loop")
    code, said = runs.run(tmp_path)
    assert code == 1
    assert one_sentence(said)
    assert "n_embd 32" in said


class Harm:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_model_is_executed_even_where_its_manifest_vouches_for_it(copied, capsys):
    folder = copied / "loop"
    path = folder / "model-3.pt"
    torch.save({"model": {"head.weight": Harm(copied / "harm")}}, path)
    files = read_manifest(folder, 3)["files"]
    files[path.name] = [path.stat().st_size, sha256(path.read_bytes())]
    sign(folder / "manifest-3.json", files=files)
    assert read_state(folder).number == 2
    assert not (copied / "harm").exists()
