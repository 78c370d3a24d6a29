"""The method: a language model that finds its own failures, learns from their corrections, and keeps only what helps.

    python loop.py

One round is the eight numbered steps of `play`, below; the README explains them under the same numbers."""
from minisi.config import Config, configure, parser

if __name__ == "__main__":  # before torch is loaded, so that --help and a refusal come at once
    configure(GIVEN := vars(parser(__doc__).parse_args()))

import sys, time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any
from tqdm import tqdm
from minisi import checkpoint, compare, detect, evaluate, lora, report
from minisi.arms import blender, pick, shifted
from minisi.correct import CORRECTORS
from minisi.evaluate import Scores
from minisi.generate import Completion, generate
from minisi.memory import UNSOLVED, Failure, FailureMemory, failure
from minisi.model import GPT
from minisi.optim import adamw, build, schedule
from minisi.runtime import UserError, cli, dice, environment, peak_memory, pick_device, torch_dice
from minisi.tasks import BAR, Problem, balanced, read_test_set, split_of
from minisi.tokenizer import Codec
from minisi.trainer import cut, encode, fit
from train import curriculum, get_base

Learned = tuple[int, int, Callable[[float], Any]]  # steps, tokens, and how to set the strength of what was learned
NOTHING: Learned = (0, 0, lambda strength: None)

class Run:
    """What the steps share: settings, model, memory, the test set, and the price paid so far."""
    def __init__(self, config: Config, model: GPT, test: list[Problem], budget: Sequence[int]) -> None:
        self.config, self.model, self.test, self.budget = config, model.requires_grad_(False), test, budget
        self.codec, self.folder, self.keyless = Codec(), Path(config.out), config.corrector == "vote"
        self.test_sha256 = checkpoint.sha256(Path(config.test).read_bytes())
        self.memory, self.dice = FailureMemory(self.folder / "memory.jsonl"), partial(dice, config.seed)
        self.corrections = self.generated = 0  # since the start; in this round
    def ask(self, problems: Sequence[Problem]) -> list[Completion]:
        """The model's greedy answers."""
        return self.decode([p.prompt for p in problems])
    def key(self, problems: Sequence[Problem]) -> list[str]:
        """What step 3 holds the answers against: nothing where the model votes."""
        return ["" if self.keyless else p.answer for p in problems]
    def correct(self, problems: Sequence[Problem], purpose: str, round: int) -> list[str]:
        """A worked solution for each problem, or an empty text where the corrector found none."""
        generator = torch_dice(self.model.head.weight.device, self.config.seed, purpose, round)
        sampled = partial(self.decode, temperature=self.config.temperature, generator=generator)
        return CORRECTORS[self.config.corrector](problems, self.decode, sampled, self.dice(purpose, round), self.config.samples)
    def decode(self, prompts: Sequence[str], **sampling: Any) -> list[Completion]:
        """Completions, whose tokens are counted."""
        completions = generate(self.model, self.codec, prompts, self.config.limit, **sampling)
        self.generated += sum(len(c.tokens) for c in completions)
        return completions
    def examine(self, round: int) -> tuple[list[Problem], list[str], float, detect.Detector]:
        """Fresh dev questions, their right answers, the share that the model knows, and a detector fitted to it.
        Where the model votes, what it agrees with itself on is held to be right, and other questions are left out."""
        dev = balanced(self.dice("dev", round), "dev", self.config.levels, self.config.dev_questions)
        truth = self.key(dev)
        if self.keyless:
            texts = self.correct(dev, "dev votes", round)
            dev, truth = [p for p, text in zip(dev, texts) if text], [text.partition(BAR)[2] for text in texts if text]
        answers = self.ask(dev)
        detector = detect.fit([detect.kind(a, c) == "right" for a, c in zip(truth, answers)], answers, self.config.threshold, 3.0 if self.keyless else 1.0)
        return dev, truth, evaluate.agreement(truth, answers), detector
    def evaluate(self) -> Scores:
        """Scores on the frozen test set."""
        return evaluate.score(self.test, generate(self.model, self.codec, [p.prompt for p in self.test], self.config.limit))
    def row(self, round: int, scores: Scores, detector: detect.Detector, held: list[Problem], answers: list[Completion], **figures: Any) -> dict[str, Any]:
        """A row of metrics.jsonl; figures that are not given are 0."""
        names = "arm", "corrector", "seed", "batch"
        return {
            "round": round, **{name: getattr(self.config, name) for name in names},
            **dict.fromkeys("asked wrong unsure unparsable self_corrected unsolved relapsed steps train_tokens fixed broken".split(), 0),
            **dict(dev_before=0.0, dev_after=0.0, kept=False, scale=0.0, p_value=1.0, label_coverage=0.0, label_precision=0.0), **scores.figures,
            **detect.measure(detector, evaluate.score(held, answers).right, answers), "threshold": detector.thresholds["scaled"], "weights": detector.weights,
            **dict(corrections=self.corrections, memory=len(self.memory.failures), generated_tokens=self.generated), **figures}  # fmt: skip

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
    dev, truth, was, detector = run.examine(round)
    verdicts, relapsed = detect.judge(run.key(asked), answers, detector), memory.recall(known, again)
    kinds = [v.kind for v in verdicts]
    flagged = [kind in ("wrong", "unparsable") or kind == "unsure" and run.keyless for kind in kinds]

    # 4. Correct what the arm picks.  An unsure answer that is right is its own correction, and free.
    picked = pick(config.arm, run.dice("arm", round), flagged, run.budget[round - 1] if run.budget else None)
    failed, run.corrections = [asked[i] for i in picked], run.corrections + len(picked)
    corrected = run.correct(failed, "corrections", round)
    corrected = shifted(failed, corrected) if config.arm == "corrupt" else corrected
    free = {i for i, kind in enumerate(kinds) if config.arm not in ("random", "fresh", "static") and (kind == "unsure" or kind == "right" and i >= len(new))}
    texts = dict(zip(picked, corrected)) | {i: answers[i].text for i in sorted(free.difference(picked))}

    # 5. Store the failures with their corrections.
    sources = [config.corrector] * len(picked) + ["own"] * (len(texts) - len(picked))
    rows = [failure(asked[i], answers[i], verdicts[i], text, source, round) for (i, text), source in zip(texts.items(), sources)]
    memory.append(rows)

    # 6. Finetune a fresh adapter on failures, mixed with replayed answers that were right.
    replay = [(asked[i].prompt, answers[i].text) for i, flag in enumerate(flagged) if not flag and i not in texts]
    learned = sum(map(bool, corrected)) or sum(flagged) * (config.arm == "fresh")
    steps, tokens, set_scale = finetune(run, [] if config.arm == "norepl" else replay, learned, round)

    # 7. Gate: merge the adapter, a weakened adapter, or nothing, by what the dev questions say.
    scale, now = evaluate.gate(set_scale, was, lambda: evaluate.agreement(truth, run.ask(dev))) if steps else (0.0, was)
    if scale > 0:
        lora.merge(run.model)
    lora.remove(run.model)

    # 8. Evaluate on the frozen test set, which has chosen nothing above.
    after = run.evaluate()
    fixed, broken = evaluate.changes(before, after)
    counts = {kind: kinds.count(kind) for kind in ("wrong", "unsure", "unparsable")} | evaluate.labels(failed, corrected)
    row = run.row(round, after, detector, new, answers[: len(new)], asked=len(asked), relapsed=relapsed, steps=steps, train_tokens=tokens, **counts,
                  self_corrected=sum(row.source == "self" for row in rows), unsolved=sum(row.source == UNSOLVED for row in rows),
                  dev_before=was, dev_after=now, fixed=fixed, broken=broken, p_value=evaluate.mcnemar(fixed, broken), kept=scale > 0, scale=scale)  # fmt: skip
    return row, after, rows

def finetune(run: Run, replay: Sequence[tuple[str, str]], learned: int, round: int) -> Learned:
    """Step 6: train on the memory's failures, as long as there is new to learn; once more at half the rate where numbers stop being finite."""
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
    before = {name: weight.clone() for name, weight in run.model.state_dict().items()}
    for rate in (1.0, 0.5):
        try:
            return adapt(run, cut(encode(run.codec, pairs), config.batch), rate, before, round)
        except FloatingPointError as error:
            print(f"round {round} at {rate:g} of the rate: {error}; what it learned is dropped", file=sys.stderr)
            lora.remove(run.model)
            run.model.load_state_dict(before)
        finally:
            run.model.requires_grad_(False)
    return NOTHING

def adapt(run: Run, batches: Sequence[Any], rate: float, before: dict[str, Any], round: int) -> Learned:
    """Train fresh adapters and leave them on the model, unmerged; or, in the arm `full`, all weights."""
    config, full = run.config, run.config.arm == "full"
    if full:
        optimizers = build(run.model.requires_grad_(True), run.model.blocks, config.full_lr)
    else:
        adapters = lora.add(run.model.blocks, config.r, config.lora_alpha, torch_dice("cpu", config.seed, "adapters", round))
        optimizers = [adamw(adapters, config.lr)]
    bar = tqdm(total=len(batches), desc=f"round {round}", unit="step", leave=False, disable=None)
    steps, tokens = fit(run.model, optimizers, batches, lambda step: rate * schedule(step, len(batches)), bar, lambda step: config.question_weight)
    if full:
        return steps, tokens, blender(run.model, before)
    checkpoint.write_tensors(run.folder / "adapters" / f"round_{round:02d}.pt", lora.state(run.model))
    return steps, tokens, partial(lora.scale, run.model)

def start(config: Config, device: str, test: list[Problem], budget: Sequence[int]) -> tuple[Run, list[dict[str, Any]], Scores | None]:
    """A run at its beginning, or where it was stopped: with the rows of metrics.jsonl so far and the last scores."""
    folder = Path(config.out)
    base, state = get_base(config, device), checkpoint.read_state(folder)
    checkpoint.cut_logs(folder, state)
    run, rows = Run(config, base, test, budget), checkpoint.read_rows(folder / "metrics.jsonl")
    if state is None:
        return run, rows, None
    if state.facts["test"] != run.test_sha256:
        raise UserError(f"{config.test} is not the test set that the run in {folder} began with: restore it, or choose another --out")
    run.model = checkpoint.new_model(config, device, state).requires_grad_(False)
    run.corrections = state.facts["corrections"]
    run.memory.right.update(state.facts["right"])
    print(f"{folder} holds rounds 0 to {state.number}", file=sys.stderr)
    return run, rows, evaluate.tally(test, [c == "1" for c in checkpoint.read_rows(folder / "answers.jsonl")[-1]["right"]])

def loop(config: Config, budget: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Play all rounds that were not played yet, with the corrections a round that `budget` allows; returns the rows of metrics.jsonl."""
    started, (device, why) = time.time(), pick_device(config.device)
    facts, test, folder = environment(device, why), read_test_set(config.test), Path(config.out)
    checkpoint.settings(folder, asdict(config), checkpoint.RUN_SETTINGS, run=True)
    print(f"minisi on {device} ({why}): {config.arm} arm, {config.corrector} corrector, seed {config.seed}", file=sys.stderr)
    held = checkpoint.lock(folder)  # noqa: F841, until this function returns
    run, rows, scores = start(config, device, test, budget)
    if len(rows) > config.rounds and (folder / "report.md").exists():
        print(f"the run in {folder} is finished: more --rounds would go on with it", file=sys.stderr)
        return rows
    (folder / "report.md").unlink(missing_ok=True)
    (folder / "adapters").mkdir(exist_ok=True)
    checkpoint.write_json(folder / "config.json", asdict(config))
    checkpoint.write_json(folder / "env.json", facts)
    print("\n".join([report.header(), *map(report.line, rows)]))
    for round in range(len(rows), config.rounds + 1):
        begun = time.time()
        if round == 0:
            scores, failures = run.evaluate(), []
            fresh = balanced(run.dice("questions", 0), "train", config.levels, config.dev_questions)
            row = run.row(0, scores, run.examine(0)[3], fresh, run.ask(fresh))
        else:
            row, scores, failures = play(run, round, scores)
        rows.append({**row, "seconds": float(f"{time.time() - begun:.2f}")})
        checkpoint.append_rows(folder / "answers.jsonl", [{"round": round, "right": "".join(str(int(ok)) for ok in scores.right)}])
        checkpoint.append_rows(folder / "metrics.jsonl", rows[-1:])
        kept = {"config": asdict(config), "corrections": run.corrections, "weights": row["weights"], "right": run.memory.right, "test": run.test_sha256}
        checkpoint.commit(folder, round, {"model": run.model.state_dict()}, kept)
        print(report.line(rows[-1]), flush=True)
        if failures:
            print(report.shown(run.dice("shown", round).sample(failures, min(3, len(failures)))), file=sys.stderr)
    report.finish(folder, rows, sys.argv, facts, {"leaks": audit(config), "seconds": int(time.time() - started), "memory_mib": peak_memory(), "out": config.out})
    return rows

def audit(config: Config) -> str:
    """Derive the split of what was learned from anew: of each row in the memory's file and of the first that the base was pretrained on."""
    taught = islice(curriculum(Config(**checkpoint.read_state(Path(config.base)).facts["config"])), 100)
    asked = [row["question"] for row in checkpoint.read_rows(Path(config.out) / "memory.jsonl")] + [p.question for batch in taught for p in batch]
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
    loop(configure(GIVEN, checkpoint.settings(base, GIVEN)))

if __name__ == "__main__":
    cli(main)
