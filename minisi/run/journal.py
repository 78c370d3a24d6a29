"""The folder of a run while it runs: its settings, its logs, and where it goes on."""

from dataclasses import asdict
from pathlib import Path

from . import checkpoint
from .config import Config
from .files import append_rows, read_rows, sha256
from .runtime import Row, belonging


def has_mastered(config: Config, row: Row) -> bool:
    """Whether the teacher saw enough right answers at the highest open level."""
    return row["mastery"] >= config.mastery


def is_over(config: Config, rows: list[Row]) -> bool:
    """Whether these are all rounds, or the last level that was to open is mastered."""
    if not rows:
        return False
    last = rows[-1]
    grown = 0 < config.grow <= last["levels"] and has_mastered(config, last)
    return grown or len(rows) > config.rounds


class Journal:
    """A run's folder, which this process has locked."""

    def __init__(self, config: Config, vocabulary: str) -> None:
        """Read where the run stopped, if it was begun.

        UserError where that was with other settings, another test set, or is damaged beyond use.
        """
        self.config = config
        self.folder = Path(config.out)
        self.facts = {
            "vocabulary": vocabulary,
            "config": asdict(config),
            "test": sha256(belonging(config.test).read_bytes()),
        }
        self.state = checkpoint.read_state(self.folder, vocabulary)
        checkpoint.check_run(self.folder, self.state, asdict(config))
        checkpoint.cut_logs(self.folder, self.state)
        self.rows = read_rows(self.folder / "metrics.jsonl")
        if self.state and "base" in self.state.facts:
            self.facts["base"] = self.state.facts["base"]

    def is_finished(self) -> bool:
        """Whether it is over, and reported."""
        return is_over(self.config, self.rows) and (self.folder / "report.md").exists()

    def answers(self) -> list[bool]:
        """Which test questions were answered right in the last round; none before the first."""
        rows = read_rows(self.folder / "answers.jsonl")
        return [digit == "1" for digit in rows[-1]["right"]] if rows else []

    def commit(self, row: Row, right: list[bool], tensors: Row, facts: Row) -> None:
        """Make a round count: log its figures and test answers, save the weights."""
        digits = "".join(f"{ok:d}" for ok in right)
        round = row["round"]
        append_rows(self.folder / "answers.jsonl", [{"round": round, "right": digits}])
        append_rows(self.folder / "metrics.jsonl", [row])
        checkpoint.commit(self.folder, round, tensors, self.facts | facts)
        self.rows.append(row)
