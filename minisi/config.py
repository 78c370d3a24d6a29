"""Every setting, its default, its unit and its limits, stated once; the command lines are made from it."""

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

ARMS = ("failure", "random", "static")
CORRECTORS = ("solver", "self")


def option(default: Any, group: str, help: str, low: float | None = None, high: float | None = None, choices: Sequence[str] = ()) -> Any:
    """A field of Config with what its command-line option needs."""
    return field(default=default, metadata=dict(group=group, help=help, low=low, high=high, choices=choices))


@dataclass(frozen=True)
class Config:
    """Settings of a run."""

    preset: str = option("default", "run", "a named set of defaults", choices=("default", "smoke"))
    seed: int = option(1, "run", "everything random follows from it", 0)
    device: str = option("auto", "run", "where to compute", choices=("auto", "cpu", "cuda"))
    base: str = option("runs/base", "run", "folder of the pretrained model; made if it isn't there")
    out: str = option("runs/loop", "run", "folder that gets the results")
    test: str = option("data/test.jsonl", "run", "the frozen test set")

    n_layer: int = option(4, "model", "blocks", 1)
    n_embd: int = option(128, "model", "width", 2)
    n_head: int = option(4, "model", "attention heads", 1)
    n_hidden: int = option(352, "model", "hidden width of the MLP", 1)

    base_levels: int = option(3, "pretraining", "levels that the base meets: 1 to this", 1)
    base_steps: int = option(1250, "pretraining", "optimiser steps", 1)
    base_chain_steps: int = option(150, "pretraining", "of these steps, the first that see `chain` alone", 0)
    base_lr: float = option(3e-3, "pretraining", "peak learning rate, Muon and AdamW alike", 0)
    base_batch: int = option(32, "pretraining", "problems a step", 1)

    arm: str = option("failure", "loop", "what is learned from: failures, the same number of random questions, or nothing", choices=ARMS)
    corrector: str = option("solver", "loop", "who corrects: the tutor program, or the model's own samples", choices=CORRECTORS)
    rounds: int = option(5, "loop", "rounds of the loop", 0)
    levels: int = option(4, "loop", "levels that are asked: 1 to this", 1)
    questions: int = option(2560, "loop", "questions asked a round", 1)
    dev_questions: int = option(512, "loop", "fresh dev questions a round, for the threshold and again for the gate", 1)
    threshold: float = option(-1.0, "loop", "confidence below which an answer is unsure, 0 to 1; -1 fits the F1 of errors on dev", -1, 1)
    samples: int = option(8, "loop", "samples a question for the `self` corrector", 1)
    temperature: float = option(0.7, "loop", "of those samples", 0)
    limit: int = option(160, "loop", "longest completion, in tokens", 1)

    steps: int = option(320, "finetuning", "LoRA steps a round", 1)
    batch: int = option(32, "finetuning", "examples a step", 1)
    lr: float = option(2.5e-3, "finetuning", "peak learning rate (AdamW)", 0)
    replay: float = option(0.5, "finetuning", "share of a batch that is replayed right answers", 0, 1)
    newest: float = option(0.5, "finetuning", "share of the failures in a batch that is from this round", 0, 1)
    r: int = option(16, "finetuning", "rank of the adapters", 1)
    lora_alpha: float = option(32.0, "finetuning", "adapter strength times r", 0)

    def __post_init__(self) -> None:
        if Path(self.base).resolve() == Path(self.out).resolve():
            raise ValueError(f"--base and --out are both {self.out}: choose two folders")
        if self.n_embd % (2 * self.n_head):
            raise ValueError(f"--n_embd {self.n_embd} must be a multiple of twice --n_head {self.n_head}")


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "smoke": dict(
        base="runs/smoke-base", out="runs/smoke-loop", n_layer=2, n_embd=64, n_head=2, n_hidden=176,
        base_levels=1, base_steps=200, base_chain_steps=0, base_lr=6e-3,
        levels=2, rounds=2, questions=640, dev_questions=256, limit=64, steps=150, lr=3e-3, replay=0.3, r=32, lora_alpha=64.0,
    ),
}  # fmt: skip
BASE = ("model", "pretraining")  # the groups of settings that make a base model


class Parser(argparse.ArgumentParser):
    """argparse that names the nearest option or value when it doesn't know one."""

    def error(self, message: str) -> Any:
        """Print the message with a suggestion and exit with code 2."""
        if choice := re.search(r"argument (\S+): invalid choice: '(.*?)'", message):
            word, known = choice[2], [str(c) for a in self._actions if choice[1] in (*a.option_strings, a.dest) for c in a.choices]
        else:
            word, known = next(iter(message.removeprefix("unrecognized arguments:").split()), ""), [o for a in self._actions for o in a.option_strings]
        near = difflib.get_close_matches(word, known, 1)
        super().error(message + (f"; did you mean {near[0]}?" if near else "") + f" ({self.prog} --help lists all)")


def number(kind: type, low: float | None, high: float | None) -> Any:
    """A converter for argparse that also holds the limits."""
    if kind is str:
        return str

    def convert(text: str) -> Any:
        value = kind(text)
        if (low is not None and not value >= low) or (high is not None and not value <= high) or value == float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is outside {low} to {high if high is not None else 'any number'}")
        return value

    convert.__name__ = {int: "whole number", float: "number"}[kind]
    return convert


def parser(description: str, pretraining_only: bool = False) -> argparse.ArgumentParser:
    """A parser with an option for each field of Config; only options that were given appear in its result.

    With `pretraining_only` it is train.py's: no settings of the loop, and `--out` is the base's folder.
    """
    made = Parser(description=description, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    groups: dict[str, Any] = {}
    for f in fields(Config):
        m, kind = f.metadata, type(f.default)
        if pretraining_only and (f.name in ("out", "test") or m["group"] not in ("run", *BASE)):
            continue
        flag = "out" if pretraining_only and f.name == "base" else f.name
        group = groups.setdefault(m["group"], made.add_argument_group(m["group"]) if m["group"] not in groups else None)
        converts = dict(choices=m["choices"]) if m["choices"] else dict(type=number(kind, m["low"], m["high"]), metavar=kind.__name__.upper())
        group.add_argument(f"--{flag}", dest=f.name, help=f"{m['help']} (default {f.default})", **converts)
    return made


def configure(given: dict[str, Any], base: dict[str, Any] | None = None) -> Config:
    """The settings: what was given, else what the base was made with, else the preset's, else the defaults; exits with 2 if they clash."""
    try:
        return Config(**{**PRESETS[given.get("preset", "default")], **(base or {}), **given})
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
