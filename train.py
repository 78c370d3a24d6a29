"""Pretrain the base model: a GPT from scratch on solved problems of levels 1 to 3, train split only.

    python train.py --out runs/base
"""

from minisi.config import configure, parser

if __name__ == "__main__":  # before torch is loaded, so that --help answers at once
    GIVEN = vars(parser(__doc__, pretraining_only=True).parse_args())

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tqdm import tqdm

from minisi.checkpoint import has_base, new_model, save_base
from minisi.config import Config
from minisi.families import FAMILIES
from minisi.model import GPT
from minisi.optim import build, schedule
from minisi.runtime import UserError, cli, dice, pick_device
from minisi.tasks import balanced
from minisi.tokenizer import Codec
from minisi.trainer import Example, encode, fit

def batches(config: Config, codec: Codec) -> Iterator[list[Example]]:
    """A batch of fresh problems for each step: at first `chain` alone, then all families alike.

    To follow a chain is to look up what followed an earlier token, as an induction head does (Olsson et al. 2022).  In the full mixture
    that is learned late or never.
    """
    rng = dice(config.seed, "pretraining")
    for step in range(config.base_steps):
        families = ["chain"] if step < config.base_chain_steps else FAMILIES
        problems = balanced(rng, "train", config.base_levels, config.base_batch, families)
        yield encode(codec, [(p.prompt, p.target) for p in problems])


def pretrain(config: Config, device: str) -> GPT:
    """Train a base and save it in `config.base`."""
    Path(config.base).mkdir(parents=True, exist_ok=True)  # now, not after minutes of work
    model, start = new_model(config, device), time.time()
    bar = tqdm(total=config.base_steps, desc="pretraining", unit="step", disable=None)
    try:
        steps, tokens = fit(model, build(model, model.blocks, config.base_lr), batches(config, Codec()), partial(schedule, steps=config.base_steps), bar)
    except FloatingPointError as error:
        raise UserError(f"pretraining failed, {error}: try half of --base_lr {config.base_lr}") from None
    save_base(Path(config.base), config, model)
    print(f"base: {steps:,} steps, {tokens:,} tokens, {time.time() - start:.0f} s, saved in {config.base}", file=sys.stderr)
    return model


def main() -> None:
    """The command line."""
    config = configure(GIVEN)
    if has_base(Path(config.base)):
        raise UserError(f"{config.base} already holds a base: choose another --out, or delete it")
    pretrain(config, pick_device(config.device)[0])


if __name__ == "__main__":
    cli(main)
