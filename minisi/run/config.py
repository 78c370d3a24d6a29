"""Every setting, its default, its unit and its limits, stated once.

The command lines are made from it: `lr: float = option(2.5e-3, ...)` is the option `--lr`.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

INFINITE = float("inf")
DEVICES = ("auto", "cpu", "cuda")


def option(default: Any, group: str, help: str, low: float = 0, high: float = INFINITE) -> Any:
    """A field of Config with what its command-line option needs."""
    text = f"{help} (default {default})"
    return field(default=default, metadata={"group": group, "help": text, "limits": (low, high)})


@dataclass(frozen=True)
class Config:
    """Settings of a run."""

    preset: str = option("default", "run", "a named set of defaults")
    seed: int = option(1, "run", "everything random follows from it")
    device: str = option("auto", "run", "where to compute")
    base: str = option("runs/base", "run", "folder of the pretrained model; made if it isn't there")
    out: str = option("runs/loop", "run", "folder that gets the results")
    test: str = option("data/test.jsonl", "run", "the frozen test set")
    show: int = option(3, "run", "failures that are shown after each round")

    n_layer: int = option(4, "model", "blocks", 1)
    n_embd: int = option(128, "model", "width", 2)
    n_head: int = option(4, "model", "attention heads", 1)
    n_hidden: int = option(352, "model", "hidden width of the MLP", 1)

    base_levels: int = option(3, "pretraining", "levels that the base meets: 1 to this", 1)
    base_steps: int = option(1500, "pretraining", "optimiser steps", 1)
    base_chain_steps: int = option(
        150, "pretraining", "of these steps, the first that see `chain` alone"
    )
    base_question_steps: int = option(
        300, "pretraining", "of these steps, the last that also learn what questions look like"
    )
    base_question_weight: float = option(
        0.3,
        "pretraining",
        "weight of a question's tokens in the loss of those steps; an answer's weigh 1",
    )
    base_lr: float = option(3e-3, "pretraining", "peak learning rate, Muon and AdamW alike")
    base_batch: int = option(32, "pretraining", "problems a step", 1)

    arm: str = option(
        "failure", "loop", "what is learned from, and how; the README has a line for each"
    )
    corrector: str = option(
        "solver",
        "loop",
        "who corrects: the tutor program; the model itself, told right or wrong (self);"
        " or itself, told nothing (vote)",
    )
    rounds: int = option(5, "loop", "rounds of the loop")
    levels: int = option(4, "loop", "levels that are asked: 1 to this", 1)
    questions: int = option(2560, "loop", "questions asked a round", 1)
    dev_questions: int = option(
        512, "loop", "fresh dev questions a round, for the threshold and again for the gate", 1
    )
    threshold: float = option(
        -1.0,
        "loop",
        "confidence below which an answer is unsure, 0 to 1; -1 fits the F score of errors on dev",
        -1,
        1,
    )
    samples: int = option(
        4,
        "loop",
        "ways through a question's parts for the correctors `self` and `vote`,"
        " and as many samples for `self`",
        1,
    )
    temperature: float = option(0.7, "loop", "of those samples")
    limit: int = option(160, "loop", "longest completion, in tokens", 1)

    passes: float = option(
        36.0,
        "finetuning",
        "examples that are trained on in a round, replayed ones included,"
        " for each correction of that round",
    )
    steps: int = option(800, "finetuning", "LoRA steps a round, at most", 1)
    batch: int = option(32, "finetuning", "examples a step", 1)
    lr: float = option(2.5e-3, "finetuning", "peak learning rate (AdamW)")
    replay: float = option(
        0.5, "finetuning", "share of a batch that is replayed right answers", 0, 1
    )
    newest: float = option(
        0.5, "finetuning", "share of the failures in a batch that is from this round", 0, 1
    )
    question_weight: float = option(
        0.1, "finetuning", "weight of a question's tokens in the loss; an answer's weigh 1"
    )
    r: int = option(16, "finetuning", "rank of the adapters", 1)
    lora_alpha: float = option(32.0, "finetuning", "adapter strength times r")
    full_lr: float = option(
        1e-3, "finetuning", "peak learning rate of the arm `full` (Muon and AdamW)"
    )

    compare: str = option(
        "",
        "comparison",
        "arms, or correctors, to compare instead of one run, such as failure,random,self,vote",
    )
    seeds: str = option(
        "1,2,3", "comparison", "seeds of the comparison; each has a base that its arms share"
    )

    def __post_init__(self) -> None:
        """Raise ValueError, in the words of the command line, where settings make no sense."""
        for f in fields(self):
            value = getattr(self, f.name)
            low, high = f.metadata["limits"]
            if isinstance(value, str) or (low <= value <= high and value < INFINITE):
                continue
            end = "any number" if high == INFINITE else high
            raise ValueError(f"--{f.name} {value} is outside {low} to {end}")
        if not re.fullmatch(r"\d+(,\d+)*", self.seeds):
            raise ValueError(f"--seeds {self.seeds}: write whole numbers with commas, as in 1,2,3")
        if Path(self.base).resolve() == Path(self.out).resolve():
            raise ValueError(f"--base and --out are both {self.out}: choose two folders")
        if self.n_embd % (2 * self.n_head):
            raise ValueError(
                f"--n_embd {self.n_embd} must be a multiple of twice --n_head {self.n_head}"
            )


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "smoke": {
        "base": "runs/smoke-base",
        "out": "runs/smoke-loop",
        "n_layer": 2,
        "n_embd": 64,
        "n_head": 2,
        "n_hidden": 176,
        "base_levels": 1,
        "base_steps": 200,
        "base_chain_steps": 0,
        "base_question_steps": 40,
        "base_lr": 6e-3,
        "levels": 2,
        "rounds": 2,
        "questions": 640,
        "limit": 64,
        "steps": 150,
        "lr": 3e-3,
        "replay": 0.3,
        "r": 32,
        "lora_alpha": 64.0,
    },
}
GROUPS = ("run", "model", "pretraining", "loop", "finetuning", "comparison")
BASE_GROUPS = ("model", "pretraining")
BASE_SETTINGS = [f.name for f in fields(Config) if f.metadata["group"] in BASE_GROUPS]
OF_THE_LOOP = ("out", "test", "show")  # of the group `run`
FREE = ("preset", "device", "base", "out", "show", "rounds", "compare", "seeds")
RUN_SETTINGS = [f.name for f in fields(Config) if f.name not in FREE]


class Parser(argparse.ArgumentParser):
    """argparse that names the nearest option or value when it doesn't know one."""

    def error(self, message: str) -> Any:
        """Print the message with a suggestion and exit with code 2."""
        unknown = re.match(r"unrecognized arguments: (\S*)", message)
        refused = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        word = ""
        known = []
        if unknown:
            word = unknown[1]
            known = list(self._option_string_actions)
        elif refused:
            word = refused[1]
            known = re.findall(r"\w+", refused[2])
        near = difflib.get_close_matches(word, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        super().error(f"{message}{hint} ({self.prog} --help lists all)")


def names(known: Iterable[str]) -> Callable[[str], str]:
    """An argparse type: names with commas between, each of them known."""

    def check(text: str) -> str:
        unknown = [name for name in text.split(",") if name and name not in known]
        if unknown:
            choices = ", ".join(known)
            raise argparse.ArgumentTypeError(f"no arm is called {unknown[0]}: take of {choices}")
        return text

    return check


def parser(
    description: str,
    arms: Iterable[str] = (),
    correctors: Iterable[str] = (),
    pretraining: bool = False,
) -> Parser:
    """A parser with an option for each field of Config; its result has those that were given.

    For pretraining alone there are no settings of the loop, and `--out` is the base.
    """
    taken: dict[str, dict[str, Any]] = {
        "preset": {"choices": list(PRESETS)},
        "device": {"choices": DEVICES},
        "arm": {"choices": list(arms)},
        "corrector": {"choices": list(correctors)},
        "compare": {"type": names([*arms, *correctors]), "metavar": "NAMES"},
    }
    made = Parser(
        usage="%(prog)s [--OPTION VALUE] ...",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    groups = ("run", *BASE_GROUPS) if pretraining else GROUPS
    sections = {group: made.add_argument_group(group) for group in groups}
    for f in fields(Config):
        group = f.metadata["group"]
        if group not in sections or (pretraining and f.name in OF_THE_LOOP):
            continue
        flag = "out" if pretraining and f.name == "base" else f.name
        value = taken.get(f.name, {"type": f.type, "metavar": f.type.__name__.upper()})
        sections[group].add_argument(f"--{flag}", dest=f.name, help=f.metadata["help"], **value)
    return made


def configure(given: dict[str, Any], base: dict[str, Any] | None = None) -> Config:
    """What was given, else what the base was made with, else the preset's, else the defaults.

    Exits with code 2 and one sentence where settings clash.
    """
    preset = PRESETS[given.get("preset", "default")]
    try:
        return Config(**{**preset, **(base or {}), **given})
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
