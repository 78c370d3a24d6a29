"""The same command goes on, says when there is nothing to do, and refuses what does not fit."""

import shutil

import pytest

from minisi.run.checkpoint import read_state

from .disk import ENDED, at_touch
from .process import ENDLESS, TINY, Reference, Runs, lost, one_sentence, wait_for


def test_two_rounds_and_two_more_are_four_at_once(runs, reference, tmp_path):
    at_once = Reference(runs, reference.copy(tmp_path / "four", "base"), "--rounds", "4")
    two = reference.copy(tmp_path / "two", "base")
    code, said = runs.run(two, "--rounds", "2")
    assert code == 0, said
    assert lost(runs, two, at_once, "--rounds", "4") == []


def test_pretraining_that_was_killed_goes_on_to_the_same_bytes(runs, tmp_path):
    longer = ("--base_steps", "60", "--rounds", "0")
    whole = Reference(runs, tmp_path / "whole", *longer)
    killed = tmp_path / "killed"
    said = ""
    # Three times in one folder: saving step 40, 60, and 60 again.  Its seed is that of the first.
    for at, seed in ((20, "1"), (20, "2"), (7, "3")):
        code, said = runs.run(killed, *longer, "--seed", seed, harms=[at_touch(at, "kill")])
        assert code == ENDED
    assert "pretraining, seed 1, from step 40 on" in said
    assert read_state(killed / "base").number < 60
    assert lost(runs, killed, whole, *longer) == []


def stamps(folder):
    """When each file of a folder was last written, and its size; of the locks and output not."""
    found = {}
    for path in folder.rglob("*"):
        if path.name != "lock" and "said" not in path.name:
            found[path] = (path.stat().st_mtime_ns, path.stat().st_size)
    return found


def test_a_finished_run_says_so_and_changes_nothing(runs, reference):
    folders = [reference.folder / "loop", reference.folder / "base"]
    before = [stamps(folder) for folder in folders]
    code, said = runs.run(reference.folder)
    assert code == 0, said
    assert "finished" in said
    assert [stamps(folder) for folder in folders] == before


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("--lr 0.5", ["lr 0.03", "0.5"]),
        ("--seed 2 --arm random", ["seed 1", "arm failure"]),
        ("--n_embd 32", ["n_embd 16", "32"]),
    ],
)
def test_other_settings_are_refused_with_the_differences_named(changed, words, runs, reference):
    before = stamps(reference.folder)
    code, said = runs.run(reference.folder, *changed.split())
    assert code == 1
    assert one_sentence(said)
    assert [word for word in words if word not in said] == []
    assert stamps(reference.folder) == before


def test_a_test_set_that_was_replaced_meanwhile_is_refused(runs, reference, tmp_path):
    mine = tmp_path / "test.jsonl"
    shutil.copy(runs.test, mine)
    of_mine = Runs(TINY, mine)
    code, said = of_mine.run(reference.copy(tmp_path, "base"), "--rounds", "1")
    assert code == 0, said

    mine.write_text("\n".join(reversed(mine.read_text().splitlines())))
    code, said = of_mine.run(tmp_path)
    assert code == 1
    assert one_sentence(said)


def test_a_second_run_in_a_folder_is_refused_and_a_killed_one_leaves_no_lock(runs, tmp_path):
    first = runs.begin(tmp_path, *ENDLESS["rounds"])
    wait_for((tmp_path / "loop" / "manifest-0.json").exists)
    code, said = runs.run(tmp_path)
    assert code == 1
    assert one_sentence(said)
    assert "another run" in said
    assert first.is_alive()

    first.kill()
    first.join()
    assert (tmp_path / "loop" / "lock").exists()
    code, said = runs.run(tmp_path)
    assert code == 0, said


def test_two_runs_do_not_pretrain_in_one_folder(runs, tmp_path):
    first = runs.begin(tmp_path, *ENDLESS["pretraining"])
    wait_for((tmp_path / "base" / "lock").exists)
    code, said = runs.run(tmp_path, *ENDLESS["pretraining"], "--out", f"{tmp_path}/other")
    alive = first.is_alive()
    first.kill()
    first.join()
    assert alive
    assert code == 1
    assert one_sentence(said)
    assert "another run" in said
