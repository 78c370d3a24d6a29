"""Pretrain the base model: a GPT from scratch on solved problems of levels 1 to 3.

    python train.py --out runs/base

All problems are of the train split.
"""

from minisi.run.config import Config, configure, parser

if __name__ == "__main__":  # before torch is loaded, so that --help and a refusal come at once
    CONFIG = configure(vars(parser(__doc__, pretraining=True).parse_args()))

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from minisi.model.gpt import GPT
from minisi.model.optim import build, schedule
from minisi.model.tokenizer import Codec
from minisi.model.trainer import Example, encode, fit
from minisi.run import checkpoint
from minisi.run.checkpoint import State
from minisi.run.progress import Progress
from minisi.run.runtime import UserError, cli, dice, pick_device
from minisi.tasks.families import FAMILIES, vocabulary_words
from minisi.tasks.problems import Problem, balanced

SAVE_EVERY = 20.0  # seconds of pretraining that a kill can cost


def curriculum(config: Config) -> Iterator[list[Problem]]:
    """The fresh problems of each step: at first `chain` alone, then all families alike.

    To follow a chain is to look up what followed an earlier token, as an induction head does
    (Olsson et al. 2022).  In the full mixture that is learned late or never.
    """
    rng = dice(config.seed, "pretraining")
    for step in range(config.base_steps):
        families = ["chain"] if step < config.base_chain_steps else FAMILIES
        yield balanced(rng, "train", config.base_levels, config.base_batch, families)


def get_base(config: Config, device: str, codec: Codec, progress: Progress) -> tuple[GPT, Config]:
    """The pretrained model, and the settings that it was made with.

    It is made first where there is none, or made on from where that was stopped.
    """
    folder = Path(config.base)
    state = checkpoint.read_state(folder, codec.checksum)
    checkpoint.check_settings(folder, state, asdict(config))
    progress.begin("pretraining")
    model = GPT(config, len(codec.vocabulary)).to(device)
    if state:
        model.load_state_dict(state.tensors["model"])
    if state and state.number == config.base_steps:
        made = Config(**state.facts["config"])
        progress.skip()
        progress.say(f"base {folder}, made with seed {made.seed}", sys.stderr)
        return model, made
    with checkpoint.lock(folder):
        pretrain(config, model, codec, state, progress)
    return model, config


def examples(config: Config, codec: Codec, first: int) -> Iterator[list[Example]]:
    """The batches of the steps from `first` on."""
    for problems in islice(curriculum(config), first, None):
        yield encode(codec, [(problem.prompt, problem.target) for problem in problems])


def pretrain(
    config: Config, model: GPT, codec: Codec, state: State | None, progress: Progress
) -> None:
    """Train the model from its state to the last step; UserError where that fails."""
    begun = time.monotonic()
    first = state.number if state else 0
    trained = state.facts["tokens"] if state else 0
    start = f", from step {first:,} on" if state else ""
    progress.say(f"{config.base}: pretraining a base{start}", sys.stderr)
    progress.skip(first)
    optimizers = build(model, model.blocks, config.base_lr)
    if state:
        for optimizer, saved in zip(optimizers, state.tensors["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    steps = range(config.base_steps)
    rates = [schedule(step, config.base_steps) for step in steps]
    # Questions join the loss late: from the start, they kept columns from growing later.
    late = config.base_steps - config.base_question_steps
    weights = [config.base_question_weight * (step >= late) for step in steps]
    saved_at = begun
    try:
        for done in fit(model, optimizers, examples(config, codec, first), rates, weights, first):
            progress.reach(done.steps, loss=f"{done.loss:.3f}")
            if done.steps == config.base_steps or time.monotonic() > saved_at + SAVE_EVERY:
                facts = {"vocabulary": codec.checksum, "tokens": trained + done.tokens}
                save(config, model, optimizers, done.steps, facts)
                saved_at = time.monotonic()
    except FloatingPointError as error:
        advice = f"delete {config.base} and try half of --base_lr {config.base_lr}"
        raise UserError(f"pretraining failed, {error}: {advice}") from None
    tokens = trained + done.tokens
    seconds = time.monotonic() - begun
    told = f"base: {done.steps:,} steps, {tokens:,} tokens, {seconds:.0f} s, saved in {config.base}"
    progress.say(told, sys.stderr)


def save(
    config: Config, model: GPT, optimizers: list[Optimizer], step: int, facts: dict[str, Any]
) -> None:
    """Commit a state of pretraining."""
    states = [optimizer.state_dict() for optimizer in optimizers]
    tensors = {"model": model.state_dict(), "optimizers": states}
    checkpoint.commit(Path(config.base), step, tensors, {**facts, "config": asdict(config)})


def main() -> None:
    """The command line."""
    device, _ = pick_device(CONFIG.device)
    with closing(Progress({"pretraining": CONFIG.base_steps})) as progress:
        get_base(CONFIG, device, Codec(vocabulary_words()), progress)


if __name__ == "__main__":
    cli(main)
