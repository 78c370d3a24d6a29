"""python -m minisi ask "347+586"    one question, answered and checked
python -m minisi bench            how fast this machine trains and decodes
python -m minisi testset          the rows of data/test.jsonl"""
import argparse
from .config import Config, Parser

if __name__ == "__main__":  # before torch is loaded, so that --help answers at once
    PARSER = Parser(prog="python -m minisi", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    COMMANDS = PARSER.add_subparsers(dest="command", required=True)
    ASK, BENCH = COMMANDS.add_parser("ask", help="answer a question"), COMMANDS.add_parser("bench", help="measure this machine")
    COMMANDS.add_parser("testset", help="print the rows of data/test.jsonl, which are the same on every machine")
    ASK.add_argument("question", help="such as '347+586'")
    ASK.add_argument("--run", default=Config.out, help="folder with a model, of a run or a base (default %(default)s)")
    for command in (ASK, BENCH):
        command.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute (default %(default)s)")
    GIVEN = PARSER.parse_args()

import pathlib, time
from collections.abc import Callable
import torch
from tqdm import tqdm
from . import checkpoint, detect, lora
from .generate import generate
from .optim import adamw, build
from .runtime import UserError, cli, dice, pick_device
from .tasks import BAR, balanced, make_test_set, solve
from .tokenizer import Codec
from .trainer import cut, encode, fit

def ask(run: str, question: str, device: str) -> None:
    """Print the steps, the answer, the confidence, and whether the tutor program agrees."""
    problem, folder = solve(question), pathlib.Path(run)
    if (state := checkpoint.read_state(folder)) is None:
        raise UserError(f"{run} holds no model: run python loop.py first, or name another folder with --run")
    config = Config(**state.facts["config"])
    model = checkpoint.new_model(config, pick_device(device)[0], state)
    (completion,) = answers = generate(model, Codec(), [problem.prompt], config.limit)
    (sure,) = detect.confidence(detect.features(answers), state.facts.get("weights", detect.RAW))  # a base has no scaling yet
    kind, (steps, _, answer) = detect.kind(problem.answer, completion), completion.text.partition(BAR)
    print(f"steps: {steps}\nanswer: {answer}\nconfidence: {sure:.4f}")
    print(f"solver: {'agrees' if kind == 'right' else f'{kind}, the answer is {problem.answer} by {problem.steps}'}")

def rate(work: Callable[[], int], seconds: float = 3.0) -> float:
    """Units per second of `work`, which returns how many it did, over about `seconds` after one call to warm up."""
    work()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        done += work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return done / (time.perf_counter() - start)

def bench(device: str) -> None:
    """Print what this machine does, all in one run: fp32 products, training steps, LoRA steps, decoding, problems."""
    config, (device, why), codec = Config(), pick_device(device), Codec()
    rng, model, a = dice(1, "bench"), checkpoint.new_model(config, device), torch.randn(1024, 1024, device=device)
    pairs = [(p.prompt, p.target) for p in balanced(rng, "train", config.base_levels, 40 * config.base_batch)]
    plan = cut(encode(codec, pairs), config.base_batch)
    def train(optimizers: list[torch.optim.Optimizer]) -> Callable[[], int]:
        return lambda: fit(model, optimizers, plan, lambda step: 1.0, tqdm(disable=True))[1]
    def decode() -> int:
        return sum(len(c.tokens) for c in generate(model, codec, [prompt for prompt, _ in pairs], config.limit))
    mm = rate(lambda: [a @ a for _ in range(10)] and 10) * 2 * 1024**3 / 1e9
    full = rate(train(build(model, model.blocks, config.base_lr)), 8)
    share = 6 * sum(p.numel() for p in model.parameters()) * full / 1e9 / mm
    tokens, each = rate(decode), decode() / len(pairs)
    adapted = rate(train([adamw(lora.add(model.requires_grad_(False).blocks, config.r, config.lora_alpha), config.lr)]), 8)
    made = rate(lambda: len(balanced(rng, "train", config.levels, 1000)))
    print(f"device: {device} ({why})\nfp32_mm: {mm:.0f} GFLOP/s\ntraining: {full:,.0f} tokens/s, {share:.2f} of the fp32_mm rate")
    print(f"lora: {adapted:,.0f} tokens/s, a step takes {full / adapted:.2f} of a full step")
    print(f"decoding: {tokens:,.0f} tokens/s, {tokens / each:,.0f} questions/s, probabilities included\nproblems: {made:,.0f} a second")

def main() -> None:
    """The command line."""
    commands = {"ask": ask, "bench": bench, "testset": lambda: print("\n".join(make_test_set()))}
    commands[GIVEN.command](**{name: value for name, value in vars(GIVEN).items() if name != "command"})

if __name__ == "__main__":
    cli(main)
