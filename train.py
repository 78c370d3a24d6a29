"""Pretrain the base, a GPT, on solved problems: python train.py --out runs/base"""

import sys

from minisi.lab.plugins import plug_in
from minisi.run.config import Config, configure, parser
from minisi.run.runtime import loading

if __name__ == "__main__":  # before torch is loaded, so that --help and a refusal come at once
    loading()
    plug_in(sys.argv)
    CONFIG = configure(vars(parser(__doc__, pretraining=True).parse_args()), pretraining=True)

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from minisi.model.gpt import GPT
from minisi.model.optim import build, schedule
from minisi.model.tokenizer import Codec
from minisi.model.trainer import encode, fit, restore, snapshot
from minisi.run.checkpoint import check_settings, commit, lock, read_state
from minisi.run.progress import Progress
from minisi.run.ranks import joined
from minisi.run.runtime import UserError, cli, dice, pick_device
from minisi.tasks.families import chosen, vocabulary_words
from minisi.tasks.problems import Problem, balanced

HARDER = ("expr", "expr", "expr", "logic")  # families that are taught more
SAVE_EVERY = 20.0  # seconds of pretraining that a kill can cost


def curriculum(config: Config) -> Iterator[list[Problem]]:
    """The fresh problems of each step: at first `chain` alone, then all families.

    To follow a chain is to look up what followed an earlier token, as an induction head does
    (Olsson et al. 2022).  In the full mixture that is learned late or never.
    """
    rng = dice(config.seed, "pretraining")
    known = chosen(config.base_families)
    more = [family for family in HARDER if family in known]
    for step in range(config.base_steps):
        alone = step < config.base_chain_steps and "chain" in known
        families = ["chain"] if alone else [*known, *more]
        yield balanced(rng, "train", config.base_levels, config.base_batch, families)


def get_base(config: Config, device: str, codec: Codec, progress: Progress) -> tuple[GPT, Config]:
    """The pretrained model, and its settings; made first where there is none, or made on."""
    folder = Path(config.base)
    state = read_state(folder, codec.checksum)
    check_settings(folder, state, asdict(config))
    if state:  # which goes on as it began, its seed included
        config = Config(**state.facts["config"])
    progress.begin("pretraining")
    first = state.number if state else 0
    tokens = state.facts["tokens"] if state else 0
    model = GPT(config, len(codec.vocabulary)).to(device)
    optimizers = build(model, model.blocks, config.base_lr)
    if state:
        restore(model, optimizers, state.tensors)
    progress.skip(first)
    steps = config.base_steps
    if first == steps:
        return model, config

    progress.say(f"{folder}: pretraining, seed {config.seed}, from step {first:,} on", sys.stderr)
    rates = [schedule(step, steps) for step in range(steps)]
    # Questions join the loss late: from the start, they kept columns from growing later.
    late = steps - config.base_question_steps
    weights = [config.base_question_weight * (step >= late) for step in range(steps)]
    facts = {"vocabulary": codec.checksum, "config": asdict(config)}
    left = islice(curriculum(config), first, None)
    batches = (encode(codec, [(p.prompt, p.target) for p in problems]) for problems in left)
    saved = time.monotonic()
    try:
        with lock(folder):
            for done in fit(model, optimizers, batches, rates, weights, first):
                progress.reach(done.steps, loss=f"{done.loss:.3f}")
                if time.monotonic() - saved > SAVE_EVERY or done.steps == steps:
                    facts["tokens"] = tokens + done.tokens
                    commit(folder, done.steps, snapshot(model, optimizers), facts)
                    saved = time.monotonic()
    except FloatingPointError as error:
        advice = f"delete {folder} and try half of --base_lr {config.base_lr}"
        raise UserError(f"pretraining failed, {error}: {advice}") from None
    return model, config


def main() -> None:
    """The command line."""
    device, _ = pick_device(CONFIG.device)
    parts = {"pretraining": CONFIG.base_steps}
    with joined(CONFIG, ("base",)) as own, closing(Progress(parts)) as progress:
        get_base(own, device, Codec(vocabulary_words()), progress)
    print(f"the base is in {CONFIG.base}")


if __name__ == "__main__":
    cli(main)
