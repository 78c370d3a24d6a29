"""The method: a language model that finds its own failures, learns from their corrections, and
keeps only what helps.

    python loop.py

One round has eight steps. They have the same numbers in the function `play` of this file and in
the README.
"""

import sys

from minisi.lab.controls import ARMS, check_arms
from minisi.lab.plugins import plug_in
from minisi.method.teacher import TEACHERS
from minisi.run.config import Config, configure, parser
from minisi.run.runtime import loading

if __name__ == "__main__":  # before torch is loaded, so that --help and a refusal come at once
    loading()
    plug_in(sys.argv)
    GIVEN = vars(parser(__doc__, ARMS, TEACHERS).parse_args())
    configure(GIVEN)

import time
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from minisi.lab import compare, report
from minisi.lab.evaluate import Examiner, Round, audit, evaluate
from minisi.lab.testset import read_sets
from minisi.method.attempt import Attempt
from minisi.method.finetune import finetune
from minisi.method.gate import Gated, examine, gate, seen
from minisi.method.run import Run
from minisi.model.gpt import GPT
from minisi.model.tokenizer import Codec
from minisi.run.checkpoint import lock, made_with
from minisi.run.journal import Journal, is_over
from minisi.run.progress import Progress, plan
from minisi.run.ranks import check_same, joined
from minisi.run.runtime import Row, UserError, cli, environment, pick_device
from minisi.tasks.families import vocabulary_words
from train import curriculum, get_base

ALONE = {"seeds": "--seed for one run", "jobs": "leave it out"}  # without --compare


def play(run: Run, examiner: Examiner) -> Row:
    """One round of the method: the model and the memory change.  Returns its figures."""
    # 1. Sample fresh questions of the train split, and the newest without a correction.
    attempts = run.sample()

    # 2. Generate an answer to each, and once more to what went wrong before.
    run.student.answer(attempts)
    relapsed = run.memory.recall(run.student, run.dice("recall"))

    # 3. Detect what is wrong or unsure, by a detector fitted on dev questions.
    exam = examine(run)
    exam.detector.judge(attempts, run.teacher)

    # 4. Correct what the arm picks.  A right answer that was unsure is its own correction.
    picked = run.pick(attempts)
    run.correct(picked)
    run.arm.alter(picked)
    own = run.keep_own(attempts)

    # 5. Store the failures with their corrections.
    run.memory.append([*picked, *own], run.round)

    # 6. Finetune a fresh adapter, or all weights, on failures and on answers that were right.
    learned = finetune(run, attempts)

    # 7. Gate: keep what helps on the dev questions, as strong as it helps most.
    gated = gate(run, learned, exam)

    # 8. Evaluate on the frozen test set, which chose nothing above, and chooses nothing later.
    played = Round(attempts, exam, gated, picked, relapsed, learned)
    return evaluate(run, examiner, played) | seen(run, attempts, gated.exam)


def look(run: Run, examiner: Examiner) -> Row:
    """Round 0: how good the base is, and a detector for it; nothing is learned."""
    exam = examine(run)
    attempts = [Attempt(problem) for problem in run.fresh(run.config.dev_questions)]
    run.student.answer(attempts)
    played = Round(attempts, exam, Gated(0.0, exam))
    return evaluate(run, examiner, played) | seen(run, attempts, exam)


def loop(config: Config, budget: list[int] | None = None) -> list[Row]:
    """Play all rounds that were not played yet; returns the rows of metrics.jsonl.

    `budget` is how many corrections each round has.
    """
    begun = time.monotonic()
    test, sets = read_sets(config)
    codec = Codec(vocabulary_words())
    with lock(Path(config.out)):
        journal = Journal(config, codec.checksum)
        if journal.is_finished():
            more = "--grow" if len(journal.rows) <= config.rounds else "--rounds"
            print(f"the run in {config.out} is finished: a higher {more} goes on", file=sys.stderr)
            return journal.rows
        device, why = pick_device(config.device)
        print(
            f"minisi on {device} ({why}): {config.arm} arm, {config.corrector} corrector,"
            f" seed {config.seed}",
            file=sys.stderr,
        )
        with closing(Progress(plan(config, len(journal.rows)))) as progress:
            base, made = start(journal, device, codec, progress)
            run = Run(config, ARMS[config.arm], base, codec, journal, progress, budget)
            examiner = Examiner(test, journal.answers(), sets)
            facts = environment(device, why)
            check_same(base.state_dict())
            report.begin(run, facts)
            while not is_over(config, journal.rows):
                play_and_save(run, examiner)
            frozen = chain(test, *sets.values())
            leaks = audit(run, chain.from_iterable(curriculum(made)), frozen)
            progress.begin("frozen sets")
            found = examiner.look(run, run.journal.rows[-1]["weights"])
            report.finish(run, facts, found, leaks, time.monotonic() - begun)
    return journal.rows


def start(journal: Journal, device: str, codec: Codec, progress: Progress) -> tuple[GPT, Config]:
    """The base, and its settings.  A run that was begun has its own weights, and needs no base."""
    config = journal.config
    kept = journal.facts.get("base")
    if kept:
        progress.skip()
        return GPT(config, len(codec.vocabulary)).to(device), Config(**kept)
    base, made = get_base(config, device, codec, progress)
    journal.facts["base"] = asdict(made)
    return base, made


def play_and_save(run: Run, examiner: Examiner) -> None:
    """Play a round, make it count, and show what happened."""
    begun = time.monotonic()
    run.student.tokens = 0
    run.teacher.verdicts = 0
    run.progress.begin(f"round {run.round}")
    row = play(run, examiner) if run.round else look(run, examiner)
    row["seconds"] = round(time.monotonic() - begun, 2)
    run.save(row, examiner.right)
    report.show(run)


def main() -> None:
    """The command line."""
    check_arms(configure(GIVEN))
    if GIVEN.get("compare"):
        compare.main(GIVEN, loop)
        return
    for name, remedy in ALONE.items():
        if name in GIVEN:
            raise UserError(f"--{name} is of a comparison: give --compare too, or {remedy}")
    with joined(configure(GIVEN)) as own:
        given = {**GIVEN, "base": own.base, "out": own.out}
        made = made_with(Path(own.base)) or made_with(Path(own.out))
        loop(configure(given, made))


if __name__ == "__main__":
    cli(main)
