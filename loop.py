"""The method: a language model that finds its own failures, learns from their corrections, and keeps only what helps.

    python loop.py

One round is the eight numbered steps of `play`, below; the README explains them under the same numbers.
"""

from minisi.config import Config, configure, parser

if __name__ == "__main__":  # before torch is loaded, so that --help answers at once
    GIVEN = vars(parser(__doc__).parse_args())

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from minisi import checkpoint, compare, detect, evaluate, lora, report
from minisi.arms import WRONG, blender, pick, shifted
from minisi.correct import CORRECTORS
from minisi.evaluate import Scores
from minisi.generate import Completion, generate
from minisi.memory import UNSOLVED, Failure, FailureMemory, failure
from minisi.model import GPT
from minisi.optim import adamw, build, schedule
from minisi.runtime import UserError, cli, dice, environment, peak_memory, pick_device, torch_dice
from minisi.tasks import Problem, balanced, read_test_set, split_of
from minisi.tokenizer import Codec
from minisi.trainer import cut, encode, fit
from train import curriculum, get_base

Learned = tuple[int, int, Callable[[float], Any]]  # steps, tokens, and how to set the strength of what was learned
NOTHING: Learned = (0, 0, lambda strength: None)

class Run:
    """What the steps share: settings, model, memory, the test set, and the price paid so far."""
    def __init__(self, config: Config, model: GPT, test: list[Problem], budget: Sequence[int]) -> None:
        self.config, self.model, self.test, self.budget = config, model.requires_grad_(False), test, budget
        self.codec, self.folder = Codec(), Path(config.out)
        self.memory = FailureMemory(self.folder / "memory.jsonl")
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

    def examine(self, round: int) -> tuple[list[Problem], list[Completion], detect.Quality]:
        """Fresh dev questions with the model's answers, and what they say of the detector."""
        dev = balanced(self.dice("dev", round), "dev", self.config.levels, self.config.dev_questions)
        answers = self.ask(dev)
        return dev, answers, detect.measure(dev, answers, self.config.threshold)

    def evaluate(self) -> Scores:
        """Scores on the frozen test set."""
        prompts = [p.prompt for p in self.test]
        return evaluate.score(self.test, generate(self.model, self.codec, prompts, self.config.limit))

    def row(self, round: int, scores: Scores, quality: detect.Quality, **figures: Any) -> dict[str, Any]:
        """A row of metrics.jsonl; figures that are not given are 0."""
        low, high = scores.interval
        counts = "asked wrong unsure unparsable self_corrected unsolved relapsed steps train_tokens fixed broken".split()
        return {
            **dict(round=round, arm=self.config.arm, corrector=self.config.corrector, seed=self.config.seed, batch=self.config.batch),
            **dict.fromkeys(counts, 0),
            **dict(dev_before=0.0, dev_after=0.0, kept=False, scale=0.0),
            **dict(test_n=scores.n, test_accuracy=scores.accuracy, test_low=low, test_high=high),
            **dict(by_family=scores.by_family, by_level=scores.by_level, by_cell=scores.by_cell),
            **dict(auroc=quality.auroc, ece=quality.ece, threshold=quality.threshold, weights=quality.weights),
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
    verdicts = detect.judge(asked, answers, quality)
    kinds = [v.kind for v in verdicts]
    relapsed = memory.recall(known, evaluate.score(known, again).right)

    # 4. Correct what the arm picks.  An unsure answer that is right is its own correction, and free.
    picked = pick(config.arm, run.dice("arm", round), kinds, run.budget[round - 1] if run.budget else None)
    corrected = correct(run, [asked[i] for i in picked], round)
    free = {i for i, kind in enumerate(kinds) if config.arm not in ("random", "fresh", "static") and (kind == "unsure" or kind == "right" and i >= len(new))}
    own = sorted(free.difference(picked))

    # 5. Store the failures with their corrections.
    rows = [failure(asked[i], answers[i], verdicts[i], text, config.corrector, round) for i, text in zip(picked, corrected)]
    rows += [failure(asked[i], answers[i], verdicts[i], answers[i].text, "own", round) for i in own]
    memory.append(rows)

    # 6. Finetune a fresh adapter on failures, mixed with replayed answers that were right.
    chosen = {*picked, *own}
    replay = [(asked[i].prompt, answers[i].text) for i, kind in enumerate(kinds) if kind not in WRONG and i not in chosen]
    learned = sum(map(bool, corrected)) or sum(kind in WRONG for kind in kinds) * (config.arm == "fresh")
    steps, tokens, set_scale = finetune(run, [] if config.arm == "norepl" else replay, learned, round)

    # 7. Gate: merge the adapter, a weakened adapter, or nothing, by what the dev questions say.
    was = evaluate.score(dev, dev_answers).accuracy
    scale, now = evaluate.gate(set_scale, was, lambda: evaluate.score(dev, run.ask(dev)).accuracy) if steps else (0.0, was)
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
    texts = CORRECTORS[run.config.corrector](problems, sample, run.config.samples)
    return shifted(problems, texts) if run.config.arm == "corrupt" else texts

def finetune(run: Run, replay: Sequence[tuple[str, str]], learned: int, round: int) -> Learned:
    """Step 6: train fresh adapters, as long as there is new to learn, and leave them on the model, unmerged; or, in the arm `full`, all weights."""
    config, rng = run.config, run.dice("finetuning", round)
    count = min(config.steps, ceil(config.passes * learned / config.batch)) * config.batch
    wanted = int(count * (1 - config.replay)) if replay else count
    pairs = [(f.prompt, f.completion) for f in run.memory.sample(rng, wanted, round, config.newest)]
    if config.arm == "fresh":
        pairs = [(p.prompt, p.target) for p in balanced(rng, "train", config.levels, wanted)]
        run.corrections += wanted
    if not pairs:
        return NOTHING
    pairs += rng.choices(replay, k=count - len(pairs)) if replay else []
    rng.shuffle(pairs)
    batches = cut(encode(run.codec, pairs), config.batch)
    before = {name: weight.clone() for name, weight in run.model.state_dict().items()}
    if config.arm == "full":
        optimizers = build(run.model.requires_grad_(True), run.model.blocks, config.full_lr)
    else:
        generator = torch_dice("cpu", config.seed, "adapters", round)
        optimizers = [adamw(lora.add(run.model.blocks, config.r, config.lora_alpha, generator), config.lr)]
    bar = tqdm(total=len(batches), desc=f"round {round}", unit="step", leave=False, disable=None)
    try:
        steps, tokens = fit(run.model, optimizers, batches, partial(schedule, steps=len(batches)), bar, lambda step: config.question_weight)
    except FloatingPointError as error:
        print(f"round {round}: {error}; what it learned is dropped", file=sys.stderr)
        lora.remove(run.model)
        run.model.load_state_dict(before)
        return NOTHING
    finally:
        run.model.requires_grad_(False)
    if config.arm == "full":
        return steps, tokens, blender(run.model, before)
    checkpoint.write_tensors(run.folder / "adapters" / f"round_{round:02d}.pt", lora.state(run.model))
    return steps, tokens, partial(lora.scale, run.model)

def loop(config: Config, budget: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Play all rounds, with the corrections a round that `budget` allows; leaves the run folder and returns the rows of metrics.jsonl."""
    started, (device, why) = time.time(), pick_device(config.device)
    facts, test, folder = environment(device, why), read_test_set(config.test), Path(config.out)
    checkpoint.new_run(folder, config, facts)
    print(f"minisi on {device} ({why}): {config.arm} arm, {config.corrector} corrector, seed {config.seed}", file=sys.stderr)
    run = Run(config, get_base(config, device), test, budget)
    rows: list[dict[str, Any]] = []
    print(report.header())
    for round in range(config.rounds + 1):
        start = time.time()
        if round == 0:
            scores, failures = run.evaluate(), []
            row = run.row(0, scores, run.examine(0)[2])
        else:
            row, scores, failures = play(run, round, scores)
        rows.append({**row, "seconds": float(f"{time.time() - start:.2f}")})
        checkpoint.append_row(folder / "answers.jsonl", {"round": round, "right": "".join(str(int(ok)) for ok in scores.right)})
        checkpoint.append_row(folder / "metrics.jsonl", rows[-1])
        checkpoint.write_tensors(folder / "model.pt", run.model.state_dict())
        print(report.line(rows[-1]), flush=True)
        if failures:
            print(report.shown(run.dice("shown", round).sample(failures, min(3, len(failures)))), file=sys.stderr)
    report.finish(folder, rows, sys.argv, facts, {"leaks": audit(config), "seconds": int(time.time() - started), "memory_mib": peak_memory(), "out": config.out})
    return rows

def audit(config: Config) -> str:
    """Derive the split of what was learned from anew: of each row in the memory's file and of the first that the base was pretrained on."""
    made = checkpoint.read_json(Path(config.base) / "config.json")
    stream = islice(curriculum(replace(config, **made)), 100)
    asked = [row["question"] for row in checkpoint.read_rows(Path(config.out) / "memory.jsonl")] + [p.question for batch in stream for p in batch]
    leaks = [question for question in asked if split_of(question) != "train"]
    if leaks:
        raise UserError(f"{len(leaks)} of {len(asked)} questions are not of the train split, such as {leaks[0]!r}: throw {config.out} away")
    return f"0 of {len(asked)}"

def main() -> None:
    """The command line."""
    if GIVEN.get("compare"):
        if single := {"arm", "seed", "base"} & GIVEN.keys():
            raise UserError(f"a comparison has arms, seeds and bases of its own: leave out --{' and --'.join(sorted(single))}")
        return compare.arms(configure({"out": "runs/compare", **GIVEN}), loop)
    base = Path(GIVEN.get("base", configure(GIVEN).base))
    made = checkpoint.read_settings(base, GIVEN) if checkpoint.has_base(base) else {}
    loop(configure(GIVEN, made))

if __name__ == "__main__":
    cli(main)
