"""Step 6: what a round's lesson is made of, and how it is learned."""

import sys
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from random import Random

from ..model import lora
from ..model.optim import AdamW, Optimizer, build, schedule
from ..model.trainer import encode, fit
from ..run.checkpoint import write_tensors
from ..run.files import append_rows
from ..run.runtime import chunks, torch_dice
from ..tasks.problems import BAR
from .attempt import Attempt
from .run import Run

Pair = tuple[str, str]  # prompt, target
Batches = list[list[Pair]]
RATES = (1.0, 0.5)  # of the learning rate: the second where the first ended in no numbers


def no_strength(strength: float) -> None:
    """Where nothing was learned there is nothing to set."""


@dataclass
class Learned:
    """What a lesson left on the model, not yet for good."""

    steps: int = 0
    tokens: int = 0
    set_strength: Callable[[float], None] = no_strength  # 1 as learned, 0 as before


def finetune(run: Run, attempts: list[Attempt]) -> Learned:
    """Learn the round's lesson; once more at half the rate where numbers stop being finite."""
    pairs = lesson(run, attempts)
    if not pairs:
        return Learned()
    questions = sorted({prompt.removesuffix(BAR) for prompt, _ in pairs})
    append_rows(run.folder / "lessons.jsonl", [{"round": run.round, "questions": questions}])
    batches = chunks(pairs, run.config.batch)
    before = deepcopy(run.model.state_dict())
    learn = LEARN[run.arm.finetune or run.config.finetune]
    for rate in RATES:
        run.model.load_state_dict(run.base if run.arm.restarts else before)
        try:
            return learn(run, batches, rate)
        except FloatingPointError as error:
            print(
                f"round {run.round} at {rate:g} of the rate: {error}; what it learned is dropped",
                file=sys.stderr,
            )
            lora.remove(run.model)
    run.model.load_state_dict(before)
    return Learned()


def lesson(run: Run, attempts: list[Attempt]) -> list[Pair]:
    """Examples for all steps: failures, mixed with answers that were right.

    An arm that restarts has the steps of all rounds so far in one.
    """
    config = run.config
    rng = run.dice("finetuning")
    count = config.steps * config.batch
    if run.arm.restarts:
        count *= run.round

    right = [a for a in attempts if not a.verdict.flagged and not a.source]
    replay = [a for a in right if run.arm.replays and run.teacher.vouches(a)]
    wanted = int(count * (1 - config.replay)) if replay else count
    recall = run.arm.recalls or remembered
    pairs = recall(run, rng, wanted)
    if pairs and replay:
        pairs += evenly(rng, replay, count - len(pairs))
    rng.shuffle(pairs)
    return pairs


def evenly(rng: Random, attempts: list[Attempt], count: int) -> list[Pair]:
    """So many of the answers, with repetition, even over families and levels.

    There are few where most fails, and few of small numbers, of which there are few questions.
    """
    sizes = Counter(attempt.cell for attempt in attempts)
    weights = [1 / sizes[attempt.cell] for attempt in attempts]
    drawn = rng.choices(attempts, weights, k=count)
    return [(attempt.problem.prompt, attempt.completion.text) for attempt in drawn]


def remembered(run: Run, rng: Random, count: int) -> list[Pair]:
    """Failures of this round and of rounds before."""
    failures = run.memory.sample(rng, count, run.round, run.config.newest)
    return [(failure.prompt, failure.completion) for failure in failures]


def adapters(run: Run, batches: Batches, rate: float) -> Learned:
    """Train fresh adapters and leave them on the model, unmerged."""
    config = run.config
    generator = torch_dice("cpu", config.seed, "adapters", run.round)
    weights = lora.add(run.model.blocks, config.r, config.lora_alpha, generator)
    learned = train(run, [AdamW(weights, config.lr)], batches, rate)
    learned.set_strength = partial(lora.scale, run.model)
    path = run.folder / f"adapters/round_{run.round:02d}.pt"
    write_tensors(path, lora.state(run.model))
    return learned


def all_weights(run: Run, batches: Batches, rate: float) -> Learned:
    """Train all weights, with Muon; their strength is how far they go from what they were."""
    model = run.model
    before = deepcopy(model.state_dict())
    optimizers = build(model.requires_grad_(True), model.blocks, run.config.full_lr)
    learned = train(run, optimizers, batches, rate)
    after = deepcopy(model.state_dict())

    def blend(share: float) -> None:
        mixed = {name: before[name].lerp(weight, share) for name, weight in after.items()}
        model.load_state_dict(mixed)

    learned.set_strength = blend
    return learned


def train(run: Run, optimizers: list[Optimizer], batches: Batches, rate: float) -> Learned:
    """Train what has gradients, a step a batch, at so much of the learning rate."""
    learned = Learned()
    rates = [rate * schedule(step, len(batches)) for step in range(len(batches))]
    weights = [run.config.question_weight] * len(batches)
    micro_batch = run.config.micro_batch
    encoded = (encode(run.codec, pairs) for pairs in batches)  # one by one: all take 150 MiB
    for done in fit(run.model, optimizers, encoded, rates, weights, micro_batch=micro_batch):
        run.progress.advance(done.steps - learned.steps, loss=f"{done.loss:.3f}")
        learned = Learned(done.steps, done.tokens)
    return learned


LEARN = {"lora": adapters, "full": all_weights}  # what --finetune names
