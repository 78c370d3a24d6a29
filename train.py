"""Pretrain the base model: a GPT from scratch on solved problems of levels 1 to 3, train split only.

    python train.py --out runs/base
"""

from minisi.config import Config, configure, parser

if __name__ == "__main__":  # before torch is loaded, so that --help answers at once
    GIVEN = vars(parser(__doc__, pretraining_only=True).parse_args())

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tqdm import tqdm

from minisi.checkpoint import has_base, load_weights, new_model, read_json, save_base
from minisi.families import FAMILIES
from minisi.model import GPT
from minisi.optim import build, schedule
from minisi.runtime import UserError, cli, dice, pick_device
from minisi.tasks import Problem, balanced
from minisi.tokenizer import Codec
from minisi.trainer import encode, fit

def curriculum(config: Config) -> Iterator[list[Problem]]:
    """The fresh problems of each step: at first `chain` alone, then all families alike.

    To follow a chain is to look up what followed an earlier token, as an induction head does (Olsson et al. 2022).  In the full mixture
    that is learned late or never.
    """
    rng = dice(config.seed, "pretraining")
    for step in range(config.base_steps):
        families = ["chain"] if step < config.base_chain_steps else FAMILIES
        yield balanced(rng, "train", config.base_levels, config.base_batch, families)

def pretrain(config: Config, device: str) -> GPT:
    """Train a base and save it in `config.base`.  Questions join the loss in the last steps only: from the start, they kept columns from growing later."""
    Path(config.base).mkdir(parents=True, exist_ok=True)  # now, not after minutes of work
    model, codec, start = new_model(config, device), Codec(), time.time()
    prompt_weight = lambda step: config.base_question_weight * (step >= config.base_steps - config.base_question_steps)  # noqa: E731
    batches = (encode(codec, [(p.prompt, p.target) for p in batch]) for batch in curriculum(config))
    bar = tqdm(total=config.base_steps, desc="pretraining", unit="step", disable=None)
    try:
        steps, tokens = fit(model, build(model, model.blocks, config.base_lr), batches, partial(schedule, steps=config.base_steps), bar, prompt_weight)
    except FloatingPointError as error:
        raise UserError(f"pretraining failed, {error}: try half of --base_lr {config.base_lr}") from None
    save_base(Path(config.base), config, model)
    print(f"base: {steps:,} steps, {tokens:,} tokens, {time.time() - start:.0f} s, saved in {config.base}", file=sys.stderr)
    return model

def get_base(config: Config, device: str) -> GPT:
    """The pretrained model; made first where there is none."""
    if has_base(Path(config.base)):
        print(f"base {config.base}, made with seed {read_json(Path(config.base) / 'config.json').get('seed')}", file=sys.stderr)
        return load_weights(Path(config.base), config, device)
    print(f"no base in {config.base}: pretraining one", file=sys.stderr)
    return pretrain(config, device)

def main() -> None:
    """The command line."""
    config = configure(GIVEN)
    if has_base(Path(config.base)):
        raise UserError(f"{config.base} already holds a base: choose another --out, or delete it")
    pretrain(config, pick_device(config.device)[0])

if __name__ == "__main__":
    cli(main)
