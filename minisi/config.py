"""Every setting, its default, its unit and its limits, stated once; the command lines are made from it."""
import argparse, difflib, pathlib, re, sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

ARMS = ("failure", "random", "corrupt", "full", "fresh", "norepl", "static")
CORRECTORS = ("solver", "self", "vote")

def option(default: Any, group: str, help: str, low: float = 0, high: float = float("inf"), choices: Sequence[str] = ()) -> Any:
    """A field of Config with what its command-line option needs."""
    return field(default=default, metadata=dict(group=group, help=f"{help} (default {default})", low=low, high=high, choices=choices))

@dataclass(frozen=True)
class Config:
    """Settings of a run."""
    preset: str = option("default", "run", "a named set of defaults", choices=("default", "smoke"))
    seed: int = option(1, "run", "everything random follows from it")
    device: str = option("auto", "run", "where to compute", choices=("auto", "cpu", "cuda"))
    base: str = option("runs/base", "run", "folder of the pretrained model; made if it isn't there")
    out: str = option("runs/loop", "run", "folder that gets the results")
    test: str = option("data/test.jsonl", "run", "the frozen test set")
    n_layer: int = option(4, "model", "blocks", 1)
    n_embd: int = option(128, "model", "width", 2)
    n_head: int = option(4, "model", "attention heads", 1)
    n_hidden: int = option(352, "model", "hidden width of the MLP", 1)
    base_levels: int = option(3, "pretraining", "levels that the base meets: 1 to this", 1)
    base_steps: int = option(1500, "pretraining", "optimiser steps", 1)
    base_chain_steps: int = option(150, "pretraining", "of these steps, the first that see `chain` alone")
    base_question_steps: int = option(300, "pretraining", "of these steps, the last that also learn what questions look like")
    base_question_weight: float = option(0.3, "pretraining", "weight of a question's tokens in the loss of those steps; an answer's weigh 1")
    base_lr: float = option(3e-3, "pretraining", "peak learning rate, Muon and AdamW alike")
    base_batch: int = option(32, "pretraining", "problems a step", 1)
    arm: str = option("failure", "loop", "what is learned from, and how; the README has a line for each", choices=ARMS)
    corrector: str = option("solver", "loop", "who corrects: the tutor program; the model itself, told right or wrong; or itself by vote, told nothing", choices=CORRECTORS)
    rounds: int = option(5, "loop", "rounds of the loop")
    levels: int = option(4, "loop", "levels that are asked: 1 to this", 1)
    questions: int = option(2560, "loop", "questions asked a round", 1)
    dev_questions: int = option(512, "loop", "fresh dev questions a round, for the threshold and again for the gate", 1)
    threshold: float = option(-1.0, "loop", "confidence below which an answer is unsure, 0 to 1; -1 fits the F1 of errors on dev", -1, 1)
    samples: int = option(4, "loop", "ways through a question's parts for the correctors `self` and `vote`, and as many samples for `self`", 1)
    temperature: float = option(0.7, "loop", "of those samples")
    limit: int = option(160, "loop", "longest completion, in tokens", 1)
    passes: float = option(36.0, "finetuning", "examples that are trained on in a round, replayed ones included, for each correction of that round")
    steps: int = option(800, "finetuning", "LoRA steps a round, at most", 1)
    batch: int = option(32, "finetuning", "examples a step", 1)
    lr: float = option(2.5e-3, "finetuning", "peak learning rate (AdamW)")
    replay: float = option(0.5, "finetuning", "share of a batch that is replayed right answers", 0, 1)
    newest: float = option(0.5, "finetuning", "share of the failures in a batch that is from this round", 0, 1)
    question_weight: float = option(0.1, "finetuning", "weight of a question's tokens in the loss; an answer's weigh 1")
    r: int = option(16, "finetuning", "rank of the adapters", 1)
    lora_alpha: float = option(32.0, "finetuning", "adapter strength times r")
    full_lr: float = option(1e-3, "finetuning", "peak learning rate of the arm `full` (Muon and AdamW)")
    compare: str = option("", "comparison", "arms, or correctors, to compare instead of one run, such as failure,random,self,vote")
    seeds: str = option("1,2,3", "comparison", "seeds of the comparison; each has a base that its arms share")

    def __post_init__(self) -> None:
        for f in fields(self):
            value, low, high = getattr(self, f.name), f.metadata["low"], f.metadata["high"]
            if not isinstance(value, str) and not (low <= value <= high and value < float("inf")):
                raise ValueError(f"--{f.name} {value} is outside {low} to {'any number' if high == float('inf') else high}")
        if unknown := set(filter(None, self.compare.split(","))) - {*ARMS, *CORRECTORS}:
            raise ValueError(f"--compare knows no arm {', '.join(unknown)}: choose from {', '.join((*ARMS, *CORRECTORS))}")
        if not re.fullmatch(r"\d+(,\d+)*", self.seeds):
            raise ValueError(f"--seeds {self.seeds} must be whole numbers with commas between, such as 1,2,3")
        if pathlib.Path(self.base).resolve() == pathlib.Path(self.out).resolve():
            raise ValueError(f"--base and --out are both {self.out}: choose two folders")
        if self.n_embd % (2 * self.n_head):
            raise ValueError(f"--n_embd {self.n_embd} must be a multiple of twice --n_head {self.n_head}")

SMOKE = dict(
    base="runs/smoke-base", out="runs/smoke-loop", n_layer=2, n_embd=64, n_head=2, n_hidden=176,
    base_levels=1, base_steps=200, base_chain_steps=0, base_question_steps=40, base_lr=6e-3,
    levels=2, rounds=2, questions=640, limit=64, steps=150, lr=3e-3, replay=0.3, r=32, lora_alpha=64.0)  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {"default": {}, "smoke": SMOKE}
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

def parser(description: str, pretraining_only: bool = False) -> argparse.ArgumentParser:
    """A parser with an option for each field of Config, of which its result has those that were given; train.py's has no settings of the loop."""
    made = Parser(description=description, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    shown = [f for f in fields(Config) if not pretraining_only or f.metadata["group"] in ("run", *BASE) and f.name not in ("out", "test")]
    groups = {name: made.add_argument_group(name) for name in dict.fromkeys(f.metadata["group"] for f in shown)}
    for f in shown:
        m, kind, flag = f.metadata, type(f.default), "out" if pretraining_only and f.name == "base" else f.name
        limits = dict(choices=m["choices"]) if m["choices"] else dict(type=kind, metavar=kind.__name__.upper())
        groups[m["group"]].add_argument(f"--{flag}", dest=f.name, help=m["help"], **limits)
    return made

def configure(given: dict[str, Any], base: dict[str, Any] | None = None) -> Config:
    """The settings: what was given, else what the base was made with, else the preset's, else the defaults; exits with 2 if they clash."""
    try:
        return Config(**{**PRESETS[given.get("preset", "default")], **(base or {}), **given})
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
