"""Every setting, its default, its unit and its limits, stated once.

The command lines are made from it: `lr: float = option(1.5e-3, ...)` is the option `--lr`.
"""

import argparse
import re
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from .runtime import ROOT, Row

MOST = 2.0**53  # beyond it whole numbers are no longer exact everywhere
ROOMS = ("minisi", "tests", "data", ".git", ".ci")  # of the project, where no results belong
DEVICES = ("auto", "cpu", "cuda")
FINETUNES = ("lora", "full")
GROUPS = {  # of settings, by the first of each
    "preset": "run",
    "n_layer": "model",
    "base_families": "pretraining",
    "arm": "loop",
    "steps": "finetuning",
    "compare": "comparison",
}
GROWING: Row = {  # the defaults where the world opens
    "out": "runs/grow",
    "test": "data/test_levels.jsonl",
    "rounds": 20,
    "focus": 0.6,
    "depth": 2,
    "finetune": "full",
    "steps": 400,
    "micro_batch": 8,
    "replay": 0.4,
    "newest": 0.7,
    "limit": 448,  # levels 9 to 12 have longer answers
}


def option(default: Any, help: str, low: float = 0, high: float = inf) -> Any:
    """A field of Config with what its command-line option needs."""
    shown = "none" if default == "" else default
    needed = {"help": f"{help} (default {shown})", "limits": (low, high)}
    return field(default=default, metadata=needed)


@dataclass(frozen=True)
class Config:
    """Settings of a run, in their groups; those of a base begin with `n_` or `base_`."""

    preset: str = option("default", "smoke: a smaller world and model, for half a minute")
    seed: int = option(1, "everything random follows from it")
    device: str = option("auto", "where to compute")
    base: str = option("runs/base", "folder of the pretrained model; made if it isn't there")
    out: str = option("runs/loop", "folder that gets the results")
    test: str = option("data/test.jsonl", "the frozen test set")
    sets: str = option(
        "data/typed.jsonl,data/gpt3.jsonl,data/repeated.jsonl,data/outside.jsonl",
        "more frozen sets, asked before the first round and after the last",
    )
    plugin: str = option("", "a Python file of yours with arms, teachers or families of questions")
    show: int = option(3, "failures that are shown after each round")

    n_layer: int = option(4, "blocks", 1)
    n_embd: int = option(128, "width", 2)
    n_head: int = option(4, "attention heads", 1)
    n_hidden: int = option(352, "hidden width of the MLP", 1)

    base_families: str = option("", "families of questions, such as add,sort; none: all of them")
    base_levels: int = option(3, "levels that the base meets: 1 to this", 1)
    base_steps: int = option(2000, "optimiser steps", 1)
    base_chain_steps: int = option(100, "the first steps, which see `chain` alone")
    base_question_steps: int = option(200, "the last steps, which also learn how questions look")
    base_question_weight: float = option(
        0.3, "weight of a question's tokens in the loss of those steps; an answer's weigh 1"
    )
    base_lr: float = option(3e-3, "peak learning rate, Muon and AdamW alike")
    base_batch: int = option(48, "problems a step", 1)

    arm: str = option("failure", "what is learned from, and how; the README has a line for each")
    corrector: str = option(
        "solver",
        "who corrects: the tutor program; the model itself, told right or wrong (self);"
        " or itself, told nothing (vote)",
    )
    rounds: int = option(4, "rounds of the loop")
    levels: int = option(4, "levels that are asked: 1 to this", 1)
    grow: int = option(
        0,
        "highest level that may open, at most one a round; 0: none opens; with it the defaults"
        f" are others: {', '.join(f'{k} {v}' for k, v in GROWING.items())}",
    )
    mastery: float = option(0.85, "dev accuracy at the last level that ends growing", 0, 1)
    coverage: float = option(
        0.75, "share of a level's dev questions that the teacher must mark for it to open", 0, 1
    )
    focus: float = option(
        0.0, "share of a round's questions that go where most failed in the round before", 0, 1
    )
    repeated: float = option(0.5, "share of questions tried with numbers such as 777 or 700", 0, 1)
    unbracketed: float = option(0.25, "share of questions tried without needless brackets", 0, 1)
    questions: int = option(5120, "questions asked a round", 1)
    dev_questions: int = option(
        768, "fresh dev questions a round, for the threshold and again for the gate", 1
    )
    threshold: float = option(
        -1.0, "confidence below which an answer is unsure; -1: by the F score on dev", -1, 1
    )
    samples: int = option(
        4,
        "ways through a question's parts that `self` tries, and `vote` at most;"
        " `self` also draws as many samples",
        1,
    )
    depth: int = option(
        1, "with 2, `vote` takes parts apart too where their ways don't agree, and so on", 1, 4
    )
    temperature: float = option(0.7, "sampling temperature of the corrector `self`", 0.05)
    limit: int = option(256, "longest completion, in tokens", 1)

    steps: int = option(300, "optimiser steps a round", 1)
    batch: int = option(64, "examples a step", 1)
    micro_batch: int = option(0, "examples a pass: 8 needs less memory; 0: the whole batch")
    lr: float = option(1.5e-3, "peak learning rate of adapters (AdamW)")
    replay: float = option(0.5, "share of a batch that is right answers of this round", 0, 0.9)
    newest: float = option(0.5, "share of the failures in a batch that is from this round", 0, 1)
    question_weight: float = option(
        0.1, "weight of a question's tokens in the loss; an answer's weigh 1"
    )
    r: int = option(64, "rank of the adapters", 1)
    lora_alpha: float = option(64.0, "an adapter is scaled by this / r")
    finetune: str = option("lora", "what is trained: adapters (lora), or all weights (full)")
    full_lr: float = option(1e-3, "peak learning rate of `full` (Muon and AdamW)")

    compare: str = option(
        "", "arms and correctors to compare, as in failure,random,vote:3, which has three seeds"
    )
    jobs: int = option(1, "runs of the comparison side by side, which share the cores", 1)
    seeds: str = option("1,2,3", "seeds of the comparison; each has a base that its arms share")

    def __post_init__(self) -> None:
        """Raise ValueError, in the words of the command line, where settings make no sense."""
        for f in fields(self):
            value = getattr(self, f.name)
            low, high = f.metadata["limits"]
            if isinstance(value, str) or (low <= value <= high and value < MOST):
                continue
            end = f"{MOST:.0f}" if high == inf else high
            raise ValueError(f"--{f.name} {value} is outside {low} to {end}")
        if not re.fullmatch(r"\d{1,15}(,\d{1,15})*", self.seeds):
            raise ValueError(f"--seeds {self.seeds}: write whole numbers with commas, as in 1,2,3")
        if 0 < self.grow <= self.levels:
            raise ValueError(f"--grow {self.grow} must be more than --levels {self.levels}")
        if self.n_embd % (2 * self.n_head):
            raise ValueError(
                f"--n_embd {self.n_embd} must be a multiple of twice --n_head {self.n_head}"
            )

    def check_folders(self) -> None:
        """Raise ValueError where results can't be kept in the folders that are named."""
        for name in ("base", "out"):
            folder = getattr(self, name)
            if not is_for_results(folder):
                raise ValueError(f"--{name} {folder!r} is no folder for results: name a new one")
        if Path(self.base).resolve() == Path(self.out).resolve():
            raise ValueError(f"--base and --out are both {self.out}: choose two folders")


def is_for_results(folder: str) -> bool:
    """Whether the name is that of a folder, and not one of the project's own or above it."""
    where = Path(folder).resolve()
    inside = any(where.is_relative_to(ROOT / room) for room in ROOMS)
    return bool(folder.strip()) and not inside and not ROOT.is_relative_to(where)


PRESETS: dict[str, Row] = {
    "default": {},
    "smoke": {
        "base": "runs/smoke-base",
        "out": "runs/smoke-loop",
        "sets": "data/typed.jsonl",
        "n_layer": 2,
        "n_embd": 64,
        "n_head": 2,
        "n_hidden": 176,
        "base_families": "add,sort,chain",
        "base_levels": 2,
        "base_steps": 300,
        "base_chain_steps": 60,
        "base_question_steps": 40,
        "base_lr": 6e-3,
        "base_batch": 32,
        "rounds": 2,
        "dev_questions": 512,
        "questions": 640,
        "limit": 64,
        "steps": 220,
        "batch": 32,
        "lr": 3e-3,
        "replay": 0.3,
        "r": 32,
    },
}
BASE_SETTINGS = [f.name for f in fields(Config) if f.name.startswith(("n_", "base_"))]
OF_PRETRAINING = ("preset", "seed", "device", "base", "plugin", *BASE_SETTINGS)
# What may change while a run goes on.
FREE = "preset device micro_batch base out sets plugin show rounds grow compare jobs seeds"
RUN_SETTINGS = [f.name for f in fields(Config) if f.name not in FREE.split()]


class Parser(argparse.ArgumentParser):
    """argparse that names the nearest option or value when it doesn't know one."""

    def error(self, message: str) -> Any:
        """Print the message with a suggestion and exit with code 2."""
        form = r"unrecognized arguments: (\S*)|invalid choice: '(.*?)' \(choose from (.*)\)"
        found = re.search(form, message)
        if found:
            unknown, refused, choices = found.groups("")
            known = re.findall(r"\w+", choices) or self._option_string_actions
            for near in get_close_matches(unknown + refused, known, 1):
                message += f"; did you mean {near}?"
        super().error(f"{message} ({self.prog} --help lists all)")


def positive(text: str) -> int:
    """A whole number from 1 on; argparse tells of the ValueError of any other."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def known_names(known: Collection[str], text: str) -> str:
    """The text, if it is known names with commas between, each with or without a number."""
    for name in text.split(","):
        if re.sub(r":\d+$", "", name) not in known:
            told = f"no arm is called {name!r}: take of {', '.join(known)}; or random:3"
            raise argparse.ArgumentTypeError(told)
    return text


def parser(
    description: str,
    arms: Collection[str] = (),
    correctors: Collection[str] = (),
    pretraining: bool = False,
) -> Parser:
    """A parser with an option for each field of Config; its result has those that were given.

    For pretraining alone there are no settings of the loop, and `--out` is the base.
    """
    taken = {
        "preset": {"choices": PRESETS},
        "device": {"choices": DEVICES},
        "finetune": {"choices": FINETUNES},
        "arm": {"choices": arms},
        "corrector": {"choices": correctors},
        "compare": {"type": partial(known_names, [*arms, *correctors]), "metavar": "NAMES"},
    }
    made = Parser(
        usage="%(prog)s [--OPTION VALUE] ...",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    for f in fields(Config):
        if f.name in GROUPS:
            group = made.add_argument_group(GROUPS[f.name])
        if pretraining and f.name not in OF_PRETRAINING:
            continue
        flag = "out" if pretraining and f.name == "base" else f.name
        value = taken.get(f.name, {"type": f.type, "metavar": f.type.__name__.upper()})
        group.add_argument(f"--{flag}", dest=f.name, help=f.metadata["help"], **value)
    return made


def configure(given: Row, base: Row | None = None, pretraining: bool = False) -> Config:
    """What was given, else what the base was made with, else the preset's, else the defaults.

    Exits with code 2 and one sentence where settings clash.
    """
    preset = PRESETS[given.get("preset", "default")]
    growing = GROWING if given.get("grow") else {}
    try:
        config = Config(**growing | preset | (base or {}) | given)
        config.check_folders()
        return config
    except ValueError as error:
        text = str(error)
        if pretraining:  # where --out is the base
            text = re.sub("^--base (?!and)", "--out ", text)
        Parser().exit(2, f"error: {text}\n")
