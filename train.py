"""Pretrain the base model: a GPT from scratch on solved problems of levels 1 to 3, train split only: `python train.py --out runs/base`."""
from minisi.config import Config, configure, parser

if __name__ == "__main__":  # before torch is loaded, so that --help and a refusal come at once
    configure(GIVEN := vars(parser(__doc__, pretraining_only=True).parse_args()))

import sys, time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from tqdm import tqdm
from minisi import checkpoint
from minisi.families import FAMILIES
from minisi.model import GPT
from minisi.optim import build, schedule
from minisi.runtime import UserError, cli, dice, pick_device
from minisi.tasks import Problem, balanced
from minisi.tokenizer import Codec
from minisi.trainer import encode, fit

SAVE_EVERY = 20.0  # seconds of pretraining that a kill can cost

def curriculum(config: Config) -> Iterator[list[Problem]]:
    """The fresh problems of each step: at first `chain` alone, then all families alike.
    To follow a chain is to look up what followed an earlier token, as an induction head does (Olsson et al. 2022).  In the full mixture
    that is learned late or never."""
    rng = dice(config.seed, "pretraining")
    for step in range(config.base_steps):
        families = ["chain"] if step < config.base_chain_steps else FAMILIES
        yield balanced(rng, "train", config.base_levels, config.base_batch, families)

def get_base(config: Config, device: str) -> GPT:
    """The pretrained model; made first where there is none, or made on from where that was stopped.
    Questions join the loss in the last steps only: from the start, they kept columns from growing later."""
    folder, start = Path(config.base), time.monotonic()
    checkpoint.settings(folder, asdict(config))
    state = checkpoint.read_state(folder)
    first, tokens = (state.number, state.facts["tokens"]) if state else (0, 0)
    model = checkpoint.new_model(config, device, state)
    if first == config.base_steps:
        print(f"base {folder}, made with seed {state.facts['config']['seed']}", file=sys.stderr)
        return model
    print(f"{folder}: pretraining a base" + f", from step {first:,} on" * (first > 0), file=sys.stderr)
    held, optimizers, codec = checkpoint.lock(folder), build(model, model.blocks, config.base_lr), Codec()
    for optimizer, saved in zip(optimizers, state.tensors["optimizers"] if state else ()):
        optimizer.load_state_dict(saved)
    batches = (encode(codec, [(p.prompt, p.target) for p in batch]) for batch in islice(curriculum(config), first, None))
    bar = tqdm(total=config.base_steps, initial=first, desc="pretraining", unit="step", disable=None)
    due = time.monotonic() + SAVE_EVERY

    def save(step: int, trained: int) -> None:
        nonlocal due
        if time.monotonic() > due or step == config.base_steps:
            tensors = {"model": model.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in optimizers]}
            checkpoint.commit(folder, step, tensors, {"config": asdict(config), "tokens": tokens + trained})
            due = time.monotonic() + SAVE_EVERY

    weight = lambda step: config.base_question_weight * (step >= config.base_steps - config.base_question_steps)  # noqa: E731
    try:
        steps, trained = fit(model, optimizers, batches, partial(schedule, steps=config.base_steps), bar, weight, first, save)
    except FloatingPointError as error:
        raise UserError(f"pretraining failed, {error}: delete {folder} and try half of --base_lr {config.base_lr}") from None
    print(f"base: {steps:,} steps, {tokens + trained:,} tokens, {time.monotonic() - start:.0f} s, saved in {folder}", file=sys.stderr)
    return model

def main() -> None:
    """The command line."""
    config = configure(GIVEN)
    get_base(config, pick_device(config.device)[0])

if __name__ == "__main__":
    cli(main)
