"""The method: a language model that finds its own failures, learns from their corrections, and keeps only what helps.

    python loop.py

One round is the eight numbered steps of `play`, below; the README explains them under the same numbers.
"""

from minisi.config import configure, parser

if __name__ == "__main__":  # before torch is loaded, so that --help answers at once
    GIVEN = vars(parser(__doc__).parse_args())

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from minisi import checkpoint, detect, evaluate, lora, report
from minisi.config import Config
from minisi.correct import CORRECTORS
from minisi.detect import Quality
from minisi.evaluate import Scores
from minisi.generate import Completion, generate
from minisi.memory import UNSOLVED, Failure, FailureMemory, failure
from minisi.model import GPT
from minisi.optim import adamw, schedule
from minisi.runtime import cli, decimals, dice, environment, peak_memory, pick_device, torch_dice
from minisi.tasks import Problem, balanced, read_test_set
from minisi.tokenizer import Codec
from minisi.trainer import cut, encode, fit
from train import pretrain

WRONG = ("wrong", "unparsable")

# Which of the asked questions an arm gets corrected, given their verdicts.  All else in a round is the same for every arm,
# but that `failure` alone stores the unsure answers that were right, which cost nothing; the others replay them.
ARMS: dict[str, Callable[[Random, list[str]], list[int]]] = {
    "failure": lambda rng, kinds: [i for i, kind in enumerate(kinds) if kind in WRONG],
    "random": lambda rng, kinds: rng.sample(range(len(kinds)), sum(kind in WRONG for kind in kinds)),
    "static": lambda rng, kinds: [],
}


class Run:
    """What the steps share: settings, model, memory, the test set, and the price paid so far."""

    def __init__(self, config: Config, model: GPT, test: list[Problem]) -> None:
        self.config, self.model, self.test, self.folder = config, model.requires_grad_(False), test, Path(config.out)
        self.codec, self.memory = Codec(), FailureMemory(self.folder / "memory.jsonl")
        self.corrections = self.generated = 0  # since the start; in this round

    def dice(self, purpose: str, round: int) -> Random:
        """Random numbers for one purpose in one round."""
        return dice(self.config.seed, purpose, round)

    def ask(self, problems: Sequence[Problem]) -> list[Completion]:
        """The model's greedy answers."""
        return self.decode([p.prompt for p in problems])

    def decode(self, prompts: Sequence[str], **sampling: Any) -> list[Completion]:
        """Completions, whose tokens are counted."""
        completions = generate(self.model, self.codec, prompts, self.config.limit, **sampling)
        self.generated += sum(len(c.tokens) for c in completions)
        return completions

    def examine(self, round: int) -> tuple[list[Problem], list[Completion], Quality]:
        """Fresh dev questions with the model's answers, and what they say of the detector."""
        dev = balanced(self.dice("dev", round), "dev", self.config.levels, self.config.dev_questions)
        answers = self.ask(dev)
        return dev, answers, detect.measure(dev, answers, self.config.threshold)

    def evaluate(self) -> Scores:
        """Scores on the frozen test set."""
        prompts = [p.prompt for p in self.test]
        return evaluate.score(self.test, generate(self.model, self.codec, prompts, self.config.limit))

    def row(self, round: int, scores: Scores, quality: Quality, **figures: Any) -> dict[str, Any]:
        """A row of metrics.jsonl; figures that are not given are 0."""
        low, high = scores.interval
        counts = "asked wrong unsure unparsable self_corrected unsolved relapsed steps train_tokens fixed broken".split()
        return {
            **dict(round=round, arm=self.config.arm, corrector=self.config.corrector, seed=self.config.seed),
            **dict.fromkeys(counts, 0),
            **dict(dev_before=0.0, dev_after=0.0, kept=False, scale=0.0),
            **dict(test_n=scores.n, test_accuracy=scores.accuracy, test_low=low, test_high=high),
            **dict(by_family=scores.by_family, by_level=scores.by_level),
            **dict(auroc=quality.auroc, ece=quality.ece, threshold=quality.threshold),
            **dict(corrections=self.corrections, memory=len(self.memory.failures), generated_tokens=self.generated),
            **figures,
        }


def play(run: Run, round: int, before: Scores) -> tuple[dict[str, Any], Scores, list[Failure]]:
    """One round: the model and the memory change.  Returns the figures, the new test scores, and the failures stored."""
    config, memory, run.generated = run.config, run.memory, 0

    # 1. Sample fresh questions, never of the dev or test split.  What found no correction yet is asked again.
    fresh = balanced(run.dice("questions", round), "train", config.levels, config.questions)
    new, known = memory.unknown(fresh), memory.problems(solved=True)
    asked = new + memory.problems(solved=False)

    # 2. Generate an answer to each, and once more to all that went wrong before.
    answers, again = run.ask(asked), run.ask(known)

    # 3. Detect what is wrong or unsure, by a threshold fitted on dev questions.
    dev, dev_answers, quality = run.examine(round)
    verdicts = [detect.judge(p, c, quality.threshold) for p, c in zip(asked, answers)]
    kinds = [v.kind for v in verdicts]
    relapsed = memory.recall(known, evaluate.score(known, again).right)

    # 4. Correct what the arm picks.  An unsure answer that is right is its own correction, and free.
    picked = ARMS[config.arm](run.dice("arm", round), kinds)
    corrected = correct(run, [asked[i] for i in picked], round)
    own = [i for i, kind in enumerate(kinds) if config.arm == "failure" and (kind == "unsure" or kind == "right" and i >= len(new))]

    # 5. Store the failures with their corrections.
    rows = [failure(asked[i], answers[i], verdicts[i], text, config.corrector, round) for i, text in zip(picked, corrected)]
    rows += [failure(asked[i], answers[i], verdicts[i], answers[i].text, "own", round) for i in own]
    memory.append(rows)

    # 6. Finetune a fresh adapter on failures, mixed with replayed answers that were right.
    chosen = {*picked, *own}
    replay = [(p.prompt, c.text) for i, (p, c) in enumerate(zip(asked, answers)) if kinds[i] not in WRONG and i not in chosen]
    steps, tokens = finetune(run, replay, round) if rows else (0, 0)

    # 7. Gate: merge the adapter, a weakened adapter, or nothing, by what the dev questions say.
    was = evaluate.score(dev, dev_answers).accuracy
    scale, now = evaluate.gate(run.model, was, lambda: evaluate.score(dev, run.ask(dev)).accuracy) if steps else (0.0, was)
    if steps:
        checkpoint.write_tensors(run.folder / "adapters" / f"round_{round:02d}.pt", lora.state(run.model))
    if scale > 0:
        lora.merge(run.model)
    lora.remove(run.model)

    # 8. Evaluate on the frozen test set, which has chosen nothing above.
    after = run.evaluate()
    fixed, broken = evaluate.changes(before, after)
    row = run.row(round, after, quality, asked=len(asked), wrong=kinds.count("wrong"), unsure=kinds.count("unsure"),
                  unparsable=kinds.count("unparsable"), relapsed=relapsed, steps=steps, train_tokens=tokens,
                  self_corrected=sum(row.source == "self" for row in rows), unsolved=sum(row.source == UNSOLVED for row in rows),
                  dev_before=was, dev_after=now, fixed=fixed, broken=broken, kept=scale > 0, scale=scale)  # fmt: skip
    return row, after, rows


def correct(run: Run, problems: Sequence[Problem], round: int) -> list[str]:
    """Step 4: a worked solution for each problem, or an empty text where the corrector found none."""
    generator = torch_dice(run.model.head.weight.device, run.config.seed, "samples", round)
    sample = partial(run.decode, temperature=run.config.temperature, generator=generator)
    run.corrections += len(problems)
    return CORRECTORS[run.config.corrector](problems, sample, run.config.samples)


def finetune(run: Run, replay: Sequence[tuple[str, str]], round: int) -> tuple[int, int]:
    """Step 6: train fresh adapters and leave them on the model, unmerged; (steps, tokens), or (0, 0) if there is nothing to learn."""
    config, rng = run.config, run.dice("finetuning", round)
    count = config.steps * config.batch
    failures = run.memory.sample(rng, int(count * (1 - config.replay)) if replay else count, round, config.newest)
    if not failures:
        return 0, 0
    pairs = [(f.prompt, f.completion) for f in failures]
    pairs += rng.choices(replay, k=count - len(pairs)) if replay else []
    rng.shuffle(pairs)
    batches = cut(encode(run.codec, pairs), config.batch)
    adapters = lora.add(run.model.blocks, config.r, config.lora_alpha, torch_dice("cpu", config.seed, "adapters", round))
    bar = tqdm(total=len(batches), desc=f"round {round}", unit="step", leave=False, disable=None)
    try:
        return fit(run.model, [adamw(adapters, config.lr)], batches, partial(schedule, steps=len(batches)), bar)
    except FloatingPointError as error:
        print(f"round {round}: {error}; its adapter is dropped", file=sys.stderr)
        lora.remove(run.model)
        return 0, 0


def get_base(config: Config, device: str) -> GPT:
    """The pretrained model; made first where there is none."""
    if checkpoint.has_base(Path(config.base)):
        print(f"base {config.base}, made with seed {checkpoint.read_json(Path(config.base) / 'config.json').get('seed')}", file=sys.stderr)
        return checkpoint.load_weights(Path(config.base), config, device)
    print(f"no base in {config.base}: pretraining one", file=sys.stderr)
    return pretrain(config, device)


def loop(config: Config) -> list[dict[str, Any]]:
    """Play all rounds; returns the rows of metrics.jsonl."""
    device, why = pick_device(config.device)
    facts, test, folder = environment(device, why), read_test_set(config.test), Path(config.out)
    checkpoint.new_run(folder, config, facts)
    print(f"minisi on {device} ({why}): {config.arm} arm, {config.corrector} corrector, seed {config.seed}", file=sys.stderr)
    run = Run(config, get_base(config, device), test)
    rows: list[dict[str, Any]] = []
    print(report.header())
    for round in range(config.rounds + 1):
        start = time.time()
        if round == 0:
            scores, failures = run.evaluate(), []
            row = run.row(0, scores, run.examine(0)[2])
        else:
            row, scores, failures = play(run, round, scores)
        rows.append({**row, "seconds": decimals(time.time() - start, 2)})
        checkpoint.append_row(folder / "metrics.jsonl", rows[-1])
        checkpoint.write_tensors(folder / "model.pt", run.model.state_dict())
        print(report.line(rows[-1]), flush=True)
        if failures:
            print(report.shown(run.dice("shown", round).sample(failures, min(3, len(failures)))), file=sys.stderr)
    return rows


def main() -> None:
    """The command line."""
    start = time.time()
    base = Path(GIVEN.get("base", configure(GIVEN).base))
    made = checkpoint.read_settings(base, GIVEN) if checkpoint.has_base(base) else {}
    config = configure(GIVEN, made)
    rows = loop(config)
    folder = Path(config.out)
    text = report.summary(rows, {"seconds": round(time.time() - start), "memory_mib": peak_memory(), "out": config.out})
    if not report.curve(rows, folder / "curve.png"):
        print(report.terminal_curve(rows))
    checkpoint.write(folder / "report.md", report.markdown(rows, " ".join(["python", *sys.argv]), checkpoint.read_json(folder / "env.json"), text))
    print(text)


if __name__ == "__main__":
    cli(main)
