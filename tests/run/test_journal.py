"""The journal of a run: what it commits, where it goes on, and what it refuses."""

import json
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from minisi.run.checkpoint import LOGS, commit, lock
from minisi.run.config import Config
from minisi.run.files import append_rows, read_rows, write
from minisi.run.journal import Journal, is_over
from minisi.run.runtime import UserError

WORDS = "a checksum"  # of the vocabulary
RIGHT = [[True, False, False], [True, False, True], [False, True, True]]  # answers by round
TEST_SET = '{"question": "1+1"}\n'


@pytest.fixture
def config(tmp_path):
    """The settings of a run of three rounds, round 0 among them."""
    test = tmp_path / "test.jsonl"
    test.write_text(TEST_SET)
    return Config(out=f"{tmp_path}/run", base=f"{tmp_path}/base", test=str(test), rounds=2)


@contextmanager
def opened(config, words=WORDS):
    """The journal, in a folder that is locked for it."""
    with lock(Path(config.out)):
        yield Journal(config, words)


def row(round, levels=4, mastery=0.5):
    return {"round": round, "levels": levels, "mastery": mastery}


def play(config, *rounds):
    """Open the journal and commit these rounds."""
    with opened(config) as journal:
        for round in rounds:
            weights = {"w": torch.full((2,), float(round))}
            facts = {"corrections": 10 * round}
            journal.commit(row(round), RIGHT[round], {"model": weights}, facts)


def played(journal):
    """The rounds that a journal has rows of."""
    return [row["round"] for row in journal.rows]


def contents(config):
    """All files of the run, by name, with their bytes."""
    return {path.name: path.read_bytes() for path in Path(config.out).iterdir()}


# Going on.


def test_a_new_run_has_a_folder_and_nothing_in_its_past(config):
    with opened(config) as journal:
        assert journal.folder == Path(config.out)
        assert journal.folder.is_dir()
        assert journal.state is None
        assert journal.rows == []
        assert journal.answers() == []


def test_a_round_that_was_committed_is_there_at_once(config):
    with opened(config) as journal:
        journal.commit(row(0), RIGHT[0], {"model": {"w": torch.ones(2)}}, {"corrections": 0})
        assert journal.rows == [row(0)]
        assert journal.answers() == RIGHT[0]


def test_a_run_goes_on_where_it_was_stopped(config):
    play(config, 0, 1)
    with opened(config) as journal:
        assert journal.rows == [row(0), row(1)]
        assert journal.answers() == RIGHT[1]
        assert journal.state.number == 1
        assert journal.state.facts["corrections"] == 10
        assert journal.state.facts["config"] == asdict(config)
        assert journal.state.tensors["model"]["w"].tolist() == [1, 1]
    play(config, 2)
    with opened(config) as journal:
        assert played(journal) == [0, 1, 2]
        assert journal.answers() == RIGHT[2]


def test_a_run_that_was_stopped_in_between_leaves_what_one_without_a_stop_leaves(config, tmp_path):
    play(config, 0, 1, 2)
    undisturbed = contents(config)
    Path(config.out).rename(tmp_path / "elsewhere")
    play(config, 0)
    play(config, 1)
    play(config, 2)
    assert contents(config) == undisturbed


def test_all_that_a_run_logs_is_known_to_its_checkpoints():
    assert set(LOGS) == {"metrics.jsonl", "answers.jsonl", "memory.jsonl", "lessons.jsonl"}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_goes_back_to_what_it_was_when_a_round_was_committed(name, config):
    log = Path(config.out) / name
    play(config, 0)
    with opened(config) as journal:
        append_rows(log, [{"round": 1, "right": "110"}])
        journal.commit({"round": 1}, RIGHT[1], {"model": {"w": torch.ones(2)}}, {"corrections": 0})
    committed = log.read_bytes()
    assert b"110" in committed
    append_rows(log, [{"round": 2}])
    with opened(config):
        assert log.read_bytes() == committed


@pytest.mark.parametrize("name", LOGS)
def test_what_was_logged_and_not_committed_is_taken_back(name, config):
    play(config, 0, 1)
    before = contents(config)
    append_rows(Path(config.out) / name, [{"round": 2, "right": "111"}])
    with opened(config) as journal:
        assert played(journal) == [0, 1]
        assert journal.answers() == RIGHT[1]
    after = contents(config)
    assert after.pop(name) == before.pop(name, b"")
    assert after == before


def test_a_round_with_a_weight_that_is_not_finite_does_not_count(config):
    play(config, 0, 1)
    with opened(config) as journal:
        weights = {"w": torch.tensor([1.0, torch.nan])}
        with pytest.raises(FloatingPointError):
            journal.commit({"round": 2}, RIGHT[2], {"model": weights}, {"corrections": 20})
        assert played(journal) == [0, 1]
    with opened(config) as journal:
        assert played(journal) == [0, 1]
        assert journal.answers() == RIGHT[1]


def test_a_run_whose_last_state_is_damaged_goes_on_from_the_one_before(config, capsys):
    play(config, 0, 1, 2)
    write(Path(config.out) / "model-2.pt", b"damaged")
    with opened(config) as journal:
        assert played(journal) == [0, 1]
        assert journal.answers() == RIGHT[1]
        assert journal.state.tensors["model"]["w"].tolist() == [1, 1]
    assert "model-2.pt" in capsys.readouterr().err


def test_a_run_is_finished_when_all_rounds_were_played_and_reported(config):
    report = Path(config.out) / "report.md"
    with opened(config) as journal:
        assert not journal.is_finished()
    play(config, 0, 1)
    write(report, "a report of fewer rounds")
    with opened(config) as journal:
        assert not journal.is_finished()
    report.unlink()
    play(config, 2)
    with opened(config) as journal:
        assert not journal.is_finished()
        write(report, "a report")
        assert journal.is_finished()


OVER = [  # levels and mastery of the last round, level up to which the world opens, over or not
    (4, 0.85, 0, False),
    (5, 0.85, 5, True),
    (5, 0.84, 5, False),
    (4, 1.0, 5, False),
    (6, 0.9, 5, True),
]


@pytest.mark.parametrize(("levels", "mastery", "grow", "over"), OVER)
def test_a_run_is_over_when_the_last_level_that_was_to_open_is_mastered(
    levels, mastery, grow, over, config
):
    config = replace(config, grow=grow)
    assert not is_over(config, [])
    rows = [row(0, levels, mastery)]
    assert is_over(config, rows) == over


def test_a_finished_run_may_get_more_rounds_on_another_device_and_other_sets(config):
    play(config, 0, 1, 2)
    write(Path(config.out) / "report.md", "a report")
    changed = {
        "rounds": 3,
        "device": "cpu",
        "base": "elsewhere",
        "sets": "others",
        "micro_batch": 3,
        "show": 0,
    }
    with opened(replace(config, **changed)) as journal:
        assert not journal.is_finished()
        assert played(journal) == [0, 1, 2]


def lines_of(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def stored(*rounds):
    return [{"id": f"{round}", "round": round} for round in rounds]


def play_storing(config, *counts):
    """Commit rounds that store so many rows each."""
    weights = {"w": torch.ones(2)}
    with opened(config) as journal:
        for round, count in enumerate(counts):
            append_rows(Path(config.out) / "memory.jsonl", stored(*[round] * count))
            journal.commit(row(round), RIGHT[round], {"model": weights}, {"corrections": 0})


def test_a_memory_that_was_edited_is_taken_over_and_said(config, capsys):
    path = Path(config.out) / "memory.jsonl"
    play_storing(config, 0, 2)
    before = contents(config)
    with opened(config):
        assert read_rows(path) == stored(1, 1)
    assert contents(config) == before
    assert "edited" not in capsys.readouterr().err
    for edited in (stored(1), stored(1, 1, 0), [*stored(1), {"id": "other", "round": 1}], []):
        path.write_text(lines_of(edited))
        with opened(config) as journal:
            assert played(journal) == [0, 1]
            assert read_rows(path) == edited
        assert f"was edited: its {len(edited)} rows count" in capsys.readouterr().err


@pytest.mark.parametrize("edited", [stored(1, 1), stored(1), stored(0, 1, 1)])
def test_what_a_round_that_was_not_committed_stored_is_taken_back_edited_or_not(edited, config):
    path = Path(config.out) / "memory.jsonl"
    play_storing(config, 0, 2)
    path.write_text(lines_of([*edited, *stored(2, 2)]))
    with opened(config):
        assert read_rows(path) == edited


AFTER = {  # what stands behind the last row that counts, and what of it stays
    "a row of a round to come": (lines_of(stored(2)), []),
    "a torn row": ('{"id": "2", "rou', []),
    "what a power cut left": ("\0" * 300 + "\n", []),
    "a row by hand": (lines_of(stored(1)), stored(1)),
    "a row by hand without its end": (lines_of(stored(1))[:-1], stored(1)),
}


@pytest.mark.parametrize("behind", AFTER)
def test_what_stands_behind_an_unedited_memory_stays_if_it_is_of_a_round_that_counts(
    behind, config, capsys
):
    path = Path(config.out) / "memory.jsonl"
    play_storing(config, 1, 2)
    text, left = AFTER[behind]
    path.write_text(path.read_text() + text)
    with opened(config):
        assert read_rows(path) == [*stored(0, 1, 1), *left]
    said = capsys.readouterr().err
    assert ("edited" in said) == bool(left)
    assert ("1 rows of a round that did not count are gone" in said) == (not left)


def test_rows_that_a_person_wrote_before_there_was_a_memory_count(config):
    path = Path(config.out) / "memory.jsonl"
    play(config, 0)
    path.write_text(lines_of(stored(0)))
    with opened(config):
        assert read_rows(path) == stored(0)


def test_a_row_that_a_person_left_unfinished_is_kept_for_its_error(config):
    path = Path(config.out) / "memory.jsonl"
    play_storing(config, 2)
    path.write_text(lines_of(stored(0)) + '{"id": "typo"')
    with opened(config):
        assert path.read_text() == lines_of(stored(0)) + '{"id": "typo"\n'


# What is refused.


def assert_refused(config, match, words=WORDS):
    """The journal does not open, changes nothing, and keeps nobody out."""
    before = contents(config)
    with pytest.raises(UserError, match=match), opened(config, words):
        pass
    assert contents(config) == before


@pytest.mark.parametrize("content", [TEST_SET + TEST_SET, TEST_SET.replace("1", "2"), ""])
def test_another_test_set_under_the_same_name_is_refused(content, config):
    play(config, 0)
    Path(config.test).write_text(content)
    assert_refused(config, "is not the test set that the run in .* began with: restore it")

    Path(config.test).write_text(TEST_SET)
    play(config, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"lr": 0.5},
        {"seed": 7, "arm": "random"},
        {"n_embd": 64},
        {"base_steps": 9},
        {"base_families": "add,sort"},
    ],
    ids=str,
)
def test_other_settings_are_refused_by_their_names(changed, config):
    play(config, 0)
    named = [f"{name} {getattr(config, name)}, not {value}" for name, value in changed.items()]
    assert_refused(replace(config, **changed), "; ".join(named))
    play(config, 1)


def test_a_run_of_another_vocabulary_is_refused(config, capsys):
    play(config, 0)
    assert_refused(config, "can.t be used here: .*families of questions", words="another checksum")
    assert "other families of questions" in capsys.readouterr().err


def test_the_folder_of_a_base_is_refused(config):
    folder = Path(config.out)
    folder.mkdir()
    write(folder / "lock", "")
    commit(folder, 5, {"model": {}}, {"vocabulary": WORDS, "config": asdict(config)})
    assert_refused(config, "holds a base: name another folder")


def test_a_run_is_open_to_one_at_a_time(config):
    with opened(config):
        assert_refused(config, "another run is at work")
    play(config, 0)
