"""python -m minisi ask "347+586"    one question, answered and checked
python -m minisi bench            how fast this machine trains and decodes
python -m minisi testset          the rows of data/test.jsonl
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .config import Config, Parser, configure
from .runtime import UserError, cli, pick_device


def ask(run: str, question: str, device: str) -> None:
    """Print the steps, the answer, the confidence, and whether the tutor program agrees."""
    from . import checkpoint, detect
    from .generate import generate
    from .tasks import BAR, solve
    from .tokenizer import Codec

    problem, folder = solve(question), Path(run)
    if not (folder / "model.pt").exists():
        raise UserError(f"{run} holds no model: run python loop.py first, or name another folder with --run")
    config = configure(checkpoint.read_settings(folder))
    model = checkpoint.load_weights(folder, config, pick_device(device)[0])
    (completion,) = generate(model, Codec(), [problem.prompt], config.limit)
    verdict = detect.judge(problem, completion, 0.0)
    steps, _, answer = completion.text.partition(BAR)
    print(f"steps: {steps}\nanswer: {answer}\nconfidence: {verdict.confidence:.4f}")
    print(f"solver: {'agrees' if verdict.kind == 'right' else f'{verdict.kind}, the answer is {problem.answer} by {problem.steps}'}")


def rate(work: Callable[[], int], seconds: float = 3.0) -> float:
    """Units per second of `work`, which returns how many it did, over about `seconds` after one call to warm up."""
    import torch

    work()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        done += work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return done / (time.perf_counter() - start)


def bench(device: str) -> None:
    """Print what this machine does, all in one run: fp32 products, training steps, LoRA steps, decoding, problems."""
    import torch
    from tqdm import tqdm

    from . import checkpoint, lora
    from .generate import generate
    from .optim import adamw, build
    from .runtime import dice
    from .tasks import balanced
    from .tokenizer import Codec
    from .trainer import cut, encode, fit

    config, (device, why), codec = Config(), pick_device(device), Codec()
    rng, model, a = dice(1, "bench"), checkpoint.new_model(config, device), torch.randn(1024, 1024, device=device)
    problems = balanced(rng, "train", config.base_levels, 40 * config.base_batch)
    pairs = [(p.prompt, p.target) for p in problems]
    plan = cut(encode(codec, pairs), config.base_batch)

    def train(optimizers: list[torch.optim.Optimizer]) -> Callable[[], int]:
        return lambda: fit(model, optimizers, plan, lambda step: 1.0, tqdm(disable=True))[1]

    def decode() -> int:
        return sum(len(c.tokens) for c in generate(model, codec, [prompt for prompt, _ in pairs], config.limit))

    mm = rate(lambda: [a @ a for _ in range(10)] and 10) * 2 * 1024**3 / 1e9
    full = rate(train(build(model, model.blocks, config.base_lr)), 8)
    share = 6 * sum(p.numel() for p in model.parameters()) * full / 1e9 / mm
    tokens, each = rate(decode), decode() / len(pairs)
    model.requires_grad_(False)
    adapted = rate(train([adamw(lora.add(model.blocks, config.r, config.lora_alpha), config.lr)]), 8)
    made = rate(lambda: len(balanced(rng, "train", config.levels, 1000)))
    print(f"device: {device} ({why})\nfp32_mm: {mm:.0f} GFLOP/s\ntraining: {full:,.0f} tokens/s, {share:.2f} of the fp32_mm rate")
    print(f"lora: {adapted:,.0f} tokens/s, a step takes {full / adapted:.2f} of a full step")
    print(f"decoding: {tokens:,.0f} tokens/s, {tokens / each:,.0f} questions/s, probabilities included\nproblems: {made:,.0f} a second")


def main() -> None:
    """The command line."""
    parser = Parser(prog="python -m minisi", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("ask", help="answer a question")
    one.add_argument("question", help="such as '347+586'")
    one.add_argument("--run", default=Config.out, help="folder with a model, of a run or a base (default %(default)s)")
    for command in (one, commands.add_parser("bench", help="measure this machine")):
        command.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute (default %(default)s)")
    commands.add_parser("testset", help="print the rows of data/test.jsonl, which are the same on every machine")
    given = parser.parse_args()
    if given.command == "ask":
        ask(given.run, given.question, given.device)
    elif given.command == "bench":
        bench(given.device)
    else:
        from .tasks import make_test_set

        sys.stdout.writelines(f"{row}\n" for row in make_test_set())


if __name__ == "__main__":
    cli(main)
