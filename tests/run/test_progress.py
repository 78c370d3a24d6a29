"""One bar over a whole run: where it stands, what it says is left, and that it goes away."""

import io
import re
import sys
from contextlib import closing, redirect_stderr

import pytest

from minisi.run.config import PRESETS, configure
from minisi.run.progress import LINE_EVERY, Progress, plan

PARTS = {"first": 100.0, "second": 50.0, "third": 50.0}


class Clock:
    """A clock that goes on when told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


class Terminal(io.StringIO):
    """A terminal that remembers what was sent to it."""

    def isatty(self):
        return True

    def screen(self):
        """The lines that are seen: what follows a carriage return stands over the line before."""
        lines = []
        for line in self.getvalue().split("\n"):
            seen = ""
            for text in line.split("\r"):
                seen = text + seen[len(text) :]
            lines.append(seen.rstrip())
        return lines


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


@pytest.fixture
def progress(clock):
    """A bar over three parts."""
    with closing(Progress(PARTS)) as progress:
        yield progress


def place(progress):
    """How far the bar is, in steps."""
    return progress.bar.n


def shown(progress):
    """(part, percentage, time gone, time left, figures) as the bar tells them."""
    form = r"(.*): +(\d+)% \|.*\| (\S+) gone, (\S+) left(.*)"
    return re.fullmatch(form, str(progress.bar)).groups()


def left(progress):
    return shown(progress)[3]


# Where the bar stands.


def test_the_bar_is_as_long_as_all_parts_and_starts_with_the_first(progress):
    assert progress.bar.total == sum(PARTS.values())
    assert shown(progress) == ("first", "0", "00:00", "?", "")


def test_parts_follow_each_other_in_order(progress):
    for part, start in (("first", 0), ("second", 100), ("third", 150)):
        progress.begin(part)
        assert place(progress) == start
        progress.advance(20)
        progress.advance(5)
        assert place(progress) == start + 25
        assert shown(progress)[0] == part


def test_reach_says_how_much_of_a_part_is_done_and_advance_how_much_more(progress):
    progress.begin("second")
    progress.reach(10)
    assert place(progress) == 110
    progress.reach(30)
    assert place(progress) == 130
    progress.advance(5)
    assert place(progress) == 135


def test_the_bar_never_goes_back(progress):
    progress.reach(30)
    progress.reach(10)
    assert place(progress) == 30
    progress.begin("second")
    progress.begin("first")
    assert place(progress) == 100


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_takes_longer_than_estimated_does_not_pass_its_end(part, progress):
    progress.begin(part)
    end = place(progress) + PARTS[part]
    for _ in range(3):
        progress.advance(0.7 * PARTS[part])
    assert place(progress) == end
    progress.reach(1000)
    assert place(progress) == end


@pytest.mark.parametrize("done", [0, 40, 100, 1000])
def test_the_next_part_makes_up_for_what_was_estimated_wrong(done, progress):
    progress.advance(done)
    progress.begin("second")
    assert place(progress) == 100
    progress.advance(10)
    assert place(progress) == 110


def test_at_the_end_of_the_last_part_the_bar_is_full(progress, clock):
    clock.wait(1)
    progress.begin("third")
    progress.reach(50)
    assert shown(progress)[1] == "100"
    assert left(progress) == "00:00"


def test_figures_stand_beside_the_bar_until_the_next_come(progress):
    progress.reach(10, loss="0.125")
    assert shown(progress)[4] == ", loss=0.125"
    progress.reach(20, loss="0.100", rate=3)
    assert shown(progress)[4] == ", loss=0.100, rate=3"
    progress.advance(1)
    assert shown(progress)[4] == ""


# What is left.


def test_what_is_left_is_left_of_the_whole_run(progress, clock):
    clock.wait(10)
    progress.advance(50)
    assert shown(progress) == ("first", "25", "00:10", "00:30", "")
    clock.wait(10)
    progress.begin("second")
    assert shown(progress) == ("second", "50", "00:20", "00:20", "")


def test_the_speed_is_the_mean_over_all_that_was_done(progress, clock):
    clock.wait(30)
    progress.advance(90)
    clock.wait(60)
    progress.advance(10)
    assert left(progress) == "01:30"  # 100 steps, as long as the first 100


def test_what_was_skipped_does_not_count_as_speed(progress, clock):
    progress.skip(60)
    assert place(progress) == 60
    assert left(progress) == "?"
    clock.wait(10)
    progress.reach(70)
    assert left(progress) == "02:10"  # 130 steps, at one a second


def test_a_part_that_is_skipped_whole_does_not_count_as_speed(progress, clock):
    progress.skip()
    assert place(progress) == 100
    clock.wait(2)
    progress.begin("second")
    assert left(progress) == "?"
    progress.advance(4)
    assert left(progress) == "00:48"  # 96 steps, at two a second


def test_what_is_skipped_after_some_work_leaves_the_speed_of_the_work(progress, clock):
    clock.wait(10)
    progress.advance(10)
    progress.skip(50)
    assert place(progress) == 50
    assert left(progress) == "02:30"


# What a terminal shows.


def test_a_terminal_shows_one_line_that_is_drawn_anew(clock):
    with redirect_stderr(Terminal()) as terminal, closing(Progress(PARTS)) as progress:
        for done in (50, 100):
            clock.wait(1)
            progress.reach(done)
            (seen,) = terminal.screen()
            assert seen == str(progress.bar)
            assert len(seen) <= 100


def test_a_terminal_is_not_drawn_at_every_step(clock):
    with redirect_stderr(Terminal()) as terminal, closing(Progress(PARTS)) as progress:
        for _ in range(100):
            clock.wait(0.01)
            progress.advance(1)
        assert terminal.getvalue().count("first:") < 10


def test_on_close_nothing_is_left_behind(clock):
    with redirect_stderr(Terminal()) as terminal, closing(Progress(PARTS)) as progress:
        clock.wait(1)
        progress.reach(50, loss="0.125")
        assert terminal.screen() != [""]
    assert terminal.screen() == [""]


def test_what_is_said_stands_above_the_bar_and_stays(clock, capsys):
    with redirect_stderr(Terminal()) as terminal, closing(Progress(PARTS)) as progress:
        progress.say("a line", sys.stderr)
        assert terminal.screen() == ["a line", ""]
        progress.say("another\nand more", sys.stderr)
        clock.wait(1)
        progress.advance(10)
        assert terminal.screen() == ["a line", "another", "and more", str(progress.bar)]
    assert terminal.screen() == ["a line", "another", "and more", ""]
    assert capsys.readouterr().out == ""


def test_what_is_said_goes_to_stdout_if_no_file_is_named(clock, capsys):
    with redirect_stderr(Terminal()) as terminal, closing(Progress(PARTS)) as progress:
        progress.say("a result")
    assert capsys.readouterr().out == "a result\n"
    assert terminal.screen() == [""]


# What a log gets, where stderr is no terminal.


def test_where_stderr_is_no_terminal_there_are_lines_and_nothing_is_drawn_over(clock, capsys):
    with closing(Progress(PARTS)) as progress:
        lines = []
        for done in (20, 40):
            clock.wait(LINE_EVERY)
            progress.reach(done)
            lines.append(str(progress.bar))
        progress.say("a word", sys.stderr)
    told = capsys.readouterr().err
    assert told.split("\n") == [*lines, "a word", ""]
    assert "\r" not in told


def test_lines_come_no_more_often_than_they_should(clock, capsys):
    with closing(Progress(PARTS)) as progress:
        capsys.readouterr()
        for _ in range(100):
            clock.wait(LINE_EVERY / 10)
            progress.advance(1)
    assert capsys.readouterr().err.count("\n") == 10


# The plan of a run.


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("rounds", [0, 3])
def test_a_run_is_planned_from_pretraining_to_its_last_round(preset, rounds):
    config = configure({"preset": preset, "rounds": rounds})
    parts = plan(config)
    played = [f"round {n}" for n in range(rounds + 1)]
    assert list(parts) == ["pretraining", *played, "frozen sets"]
    assert parts["pretraining"] == config.base_steps
    assert min(parts.values()) > 0


def test_all_rounds_that_learn_are_worth_the_same():
    parts = plan(configure({"rounds": 3}))
    assert parts["round 1"] == parts["round 2"] == parts["round 3"]


def test_the_frozen_sets_are_worth_as_much_at_the_end_as_in_the_round_that_asks_them():
    parts = plan(configure({"sets": "data/typed.jsonl"}))
    without = plan(configure({"sets": ""}))
    assert parts["frozen sets"] > without["frozen sets"] > 0
    more = parts["frozen sets"] - without["frozen sets"]
    assert parts["round 0"] - without["round 0"] == pytest.approx(more)
    assert parts["round 1"] == without["round 1"]


def test_what_was_played_before_is_not_in_the_plan_of_going_on():
    config = configure({"rounds": 4})
    assert list(plan(config, 3)) == ["pretraining", "round 3", "round 4", "frozen sets"]
    assert plan(config, 3)["round 3"] == plan(config)["round 3"]
