"""Questions that a person types, answered by a model and checked."""

from pathlib import Path

from ..method.detect import RAW, confidence, features
from ..model.generate import generate
from ..model.gpt import GPT
from ..model.tokenizer import Codec
from ..run.checkpoint import read_state
from ..run.config import Config
from ..run.runtime import UserError, pick_device
from ..tasks.families import as_asked, chosen, vocabulary_words
from ..tasks.problems import BAR, check, solve
from .evaluate import Row

HALF = 0.5  # the confidence below which a base, which has no threshold, is unsure
SHOWN = """steps: {steps}
answer: {answer}
confidence: {confidence:.4f}, {sureness}
solver: {solver}"""
OUTSIDE = "outside of what it was taught"


def read(text: str) -> Row:
    """The question that was typed, as its family writes it, or what is wrong with it."""
    try:
        return {"question": solve(as_asked(text)).question}
    except UserError as error:
        return {"question": text, "error": str(error)}


def load(run: str, device: str) -> tuple[GPT, Config, Codec, Row]:
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
    if not asked:
        return rows
    model, config, codec, facts = load(run, device)
    problems = [solve(row["question"]) for row in asked]
    families = chosen(config.base_families)
    levels = config.levels if "corrections" in facts else config.base_levels
    completions = generate(model, codec, [p.prompt for p in problems], config.limit)
    sure = confidence(features(completions), facts.get("weights", RAW)).tolist()
    threshold = facts.get("threshold", HALF)

    for row, problem, completion, share in zip(asked, problems, completions, sure, strict=True):
        steps, _, answer = completion.text.partition(BAR)
        row |= {
            "steps": steps,
            "answer": answer,
            "confidence": share,
            "sure": share >= threshold,
            "inside": problem.family in families and 0 < problem.level <= levels,
            "verdict": check(problem.answer, completion.whole),
        }
    return rows


def shown(row: Row) -> str:
    """One answer, for a person; UserError where the question could not be read."""
    if "error" in row:
        raise UserError(row["error"])
    problem = solve(row["question"])
    truth = f"{row['verdict']}, the answer is {problem.answer} by {problem.steps}"
    sureness = "sure" if row["sure"] else "unsure"
    if not row["inside"]:
        sureness += f", {OUTSIDE}"
    solver = "agrees" if row["verdict"] == "right" else truth
    return SHOWN.format(**row, sureness=sureness, solver=solver)
