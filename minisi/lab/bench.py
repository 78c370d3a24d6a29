"""How fast this machine trains and decodes, all in one run."""

import time
from collections.abc import Callable

import torch

from ..model import lora
from ..model.generate import generate
from ..model.gpt import GPT
from ..model.optim import AdamW, build
from ..model.tokenizer import Codec
from ..model.trainer import encode, fit, mixed_precision
from ..run.config import Config
from ..run.runtime import chunks, dice, pick_device
from ..tasks.families import vocabulary_words
from ..tasks.problems import balanced

SIZE = 1024  # of the square matrices


def rate(work: Callable[[], int], seconds: float = 3.0) -> float:
    """Units per second of `work`, which returns how many it did, after one call to warm up."""
    work()
    wait()
    start = time.perf_counter()
    done = 0
    while time.perf_counter() - start < seconds:
        done += work()
    wait()
    return done / (time.perf_counter() - start)


def wait() -> None:
    """Until a GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def bench(device: str) -> None:
    """Print rates of products, training steps, LoRA steps, decoding, and drawing problems."""
    config = Config()
    device, why = pick_device(device)
    rng = dice(1, "bench")
    codec = Codec(vocabulary_words())
    model = GPT(config, len(codec.vocabulary)).to(device)
    square = torch.randn(SIZE, SIZE, device=device)
    problems = balanced(rng, "train", config.base_levels, 40 * config.base_batch)
    prompts = [problem.prompt for problem in problems]
    pairs = [(problem.prompt, problem.target) for problem in problems]
    batches = chunks(encode(codec, pairs), config.base_batch)
    same = [1.0] * len(batches)

    def multiply() -> int:
        with mixed_precision(square.device):
            return len([square @ square for _ in range(10)])

    def train() -> int:
        return [done.tokens for done in fit(model, optimizers, batches, same, same)][-1]

    def decode() -> int:
        return sum(len(c.tokens) for c in generate(model, codec, prompts, config.limit))

    products = rate(multiply) * 2 * SIZE**3 / 1e9
    print(f"device: {device} ({why})\nmm: {products:.0f} GFLOP/s")
    optimizers = build(model, model.blocks, config.base_lr)
    full = rate(train, 8)
    share = 6 * sum(p.numel() for p in model.parameters()) * full / 1e9 / products
    print(f"training: {full:,.0f} tokens/s, {share:.2f} of the mm rate")
    tokens = rate(decode)
    asked = tokens * len(prompts) / decode()
    print(f"decoding: {tokens:,.0f} tokens/s, {asked:,.0f} questions/s, probabilities included")
    weights = lora.add(model.requires_grad_(False).blocks, config.r, config.lora_alpha)
    optimizers = [AdamW(weights, config.lr)]
    adapted = rate(train, 8)
    print(f"lora: {adapted:,.0f} tokens/s, a step takes {full / adapted:.2f} of a full step")
    drawn = rate(lambda: len(balanced(rng, "train", config.levels, 1000)))
    print(f"problems: {drawn:,.0f} a second")
