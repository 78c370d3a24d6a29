"""Questions that a person types, answered by a model and checked."""

import re
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from random import Random

from ..method.detect import RAW, confidence, features
from ..model.generate import generate
from ..model.gpt import GPT
from ..model.tokenizer import Codec
from ..run.checkpoint import read_state
from ..run.config import Config
from ..run.runtime import Row, UserError, pick_device
from ..tasks.families import FAMILIES, LONGEST, as_asked, chosen, matching, vocabulary_words
from ..tasks.problems import BAR, check, solve

Loaded = tuple[GPT, Config, Codec, Row]  # a model, its settings, and what else was saved
HALF = 0.5  # the confidence below which a base, which has no threshold, is unsure
SHOWN = """steps: {steps}
answer: {answer}
confidence: {confidence:.4f}, {sureness}
solver: {solver}"""
OUTSIDE = "outside of what it was taught"
EXAMPLES = [family.ask(Random(name), 1) for name, family in FAMILIES.items()]
FIRST = 3  # examples that are asked before a person types
PROMPT = "> "


def newest() -> str:
    """The run under runs/ that was saved last; where there is none, the folder of a default run."""
    logs = Path(Config.out).parent.glob("*/metrics.jsonl")
    saved = sorted(logs, key=lambda log: log.stat().st_mtime)
    return str(saved[-1].parent) if saved else Config.out


def read(text: str) -> Row:
    """The question that was typed, as its family writes it, or what is wrong with it."""
    question = as_asked(text)
    if not matching(question):
        return {"question": text, "error": unknown(text)}
    try:
        return {"question": solve(question).question}
    except UserError as error:
        return {"question": text, "error": str(error)}


def unknown(text: str) -> str:
    """What to say of a text that is no question: one that is near, and one of each family."""
    examples = {shape(one): one for one in EXAMPLES}
    near = get_close_matches(shape(text), examples, 1, cutoff=0.5)
    guess = f": is it like `{examples[near[0]]}`?" if near else "."
    others = ", ".join(f"`{one}`" for one in EXAMPLES)
    return f"no family knows {text[:LONGEST]!r}{guess}  There are {others}"


def shape(text: str) -> str:
    """A text whose numbers all look the same."""
    return re.sub(r"\d+", "0", text.lower())


def load(run: str, device: str) -> Loaded:
    """(model, settings, codec, what else was saved) of a run or a base.

    UserError where the folder has no model.
    """
    codec = Codec(vocabulary_words())
    state = read_state(Path(run), codec.checksum)
    if state is None:
        raise UserError(
            f"{run} holds no model: run python loop.py first, or name another folder with --run"
        )
    config = Config(**state.facts["config"])
    model = GPT(config, len(codec.vocabulary)).to(pick_device(device)[0])
    model.load_state_dict(state.tensors["model"])
    return model, config, codec, state.facts


def ask(run: str, texts: list[str], device: str) -> list[Row]:
    """A row for each question: as it was read, answered, how surely, and whether that is right.

    A question that can't be read gets a row with the error.  UserError where `run` has no model.
    """
    rows = [read(text) for text in texts]
    asked = [row for row in rows if "error" not in row]
    if asked:
        answer(load(run, device), asked)
    return rows


def answer(loaded: Loaded, rows: list[Row]) -> None:
    """Add to the rows of questions what the model says, and what that is worth."""
    model, config, codec, facts = loaded
    problems = [solve(row["question"]) for row in rows]
    families = chosen(config.base_families)
    levels = facts.get("levels", config.base_levels)
    completions = generate(model, codec, [p.prompt for p in problems], config.limit)
    sure = confidence(features(completions), facts.get("weights", RAW)).tolist()
    threshold = facts.get("threshold", HALF)

    for row, problem, completion, share in zip(rows, problems, completions, sure, strict=True):
        steps, _, said = completion.text.partition(BAR)
        row |= {
            "steps": steps,
            "answer": said,
            "confidence": share,
            "threshold": threshold,
            "sure": share >= threshold,
            "inside": problem.family in families and 0 < problem.level <= levels,
            "verdict": check(problem.answer, completion.whole),
            "right_steps": completion.whole == problem.target,
        }


def talk(run: str, device: str) -> None:
    """Ask a few examples, then what a person types, line by line, until the input ends."""
    with suppress(ImportError):  # where it is there, input() has a history
        import readline  # noqa: F401
    loaded = load(run, device)
    print(f"{run} answers.  An empty line, or Ctrl-D, ends it.")
    known = chosen(loaded[1].base_families)
    for example in [one for one in EXAMPLES if matching(one) in known][:FIRST]:
        print(PROMPT + example)
        reply(loaded, example)
    while text := heard():
        reply(loaded, text)


def heard() -> str:
    """What a person types; empty where the input has ended, or was never there."""
    with suppress(EOFError, RuntimeError):
        return input(PROMPT).strip()
    return ""


def reply(loaded: Loaded, text: str) -> None:
    """Print the answer to a question, or what is wrong with it."""
    row = read(text)
    if "error" not in row:
        answer(loaded, [row])
    print(row.get("error") or shown(row))


def shown(row: Row) -> str:
    """One answer, for a person; UserError where the question could not be read."""
    if "error" in row:
        raise UserError(row["error"])
    problem = solve(row["question"])
    threshold = f"{row['threshold']:.4f}"
    sureness = f"sure ({threshold} or more)" if row["sure"] else f"unsure (less than {threshold})"
    if not row["inside"]:
        sureness += f", {OUTSIDE}"
    if row["verdict"] == "right":
        solver = "agrees" if row["right_steps"] else f"agrees, but the steps are {problem.steps}"
    else:
        solver = f"{row['verdict']}, the answer is {problem.answer} by {problem.steps}"
    return SHOWN.format(**row, sureness=sureness, solver=solver)
