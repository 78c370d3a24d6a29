"""How many times as fast as what people know, all in one run: the same rows, in turn.

The libraries work as they come, in float32: rows are filled up to the longest of a batch, and torch
chooses how matrices are multiplied.  Steps are also measured for rows of like length, and with our
products.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from math import inf

import torch
from torch import Tensor, nn, optim
from torch.nn.utils.rnn import pad_sequence

from ..model import lora
from ..model.generate import generate
from ..model.gpt import GPT
from ..model.optim import AdamW, Optimizer, build
from ..model.tokenizer import EOS, Codec
from ..model.trainer import Example, encode, fit, mixed_precision
from ..run.config import Config
from ..run.runtime import UserError, chunks, dice, torchs_products
from ..tasks.families import chosen
from ..tasks.problems import balanced
from .ask import load
from .bench import wait

STEPS = 12  # in a measurement
QUESTIONS = 512
TIMES = 5  # that each side is measured
TOGETHER = 128  # questions that `transformers` answers in a batch
RATE = 1e-4  # the learning rate, which does not matter
PARTS = {  # of our fused matrices, as OLMo names them
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attn_out": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "mlp_out": ("mlp.down_proj",),
}
NAMES = [name.split(".")[1] for parts in PARTS.values() for name in parts]
IGNORED = -100  # a label that has no part in the loss
Work = Callable[[], object]
Padded = tuple[Tensor, Tensor, Tensor]  # ids, mask and labels (B, T)


def gpt2(config: Config, model: GPT, longest: int) -> nn.Module:
    """A GPT-2 with as many blocks of as many weights, for texts of up to so many tokens."""
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = GPT2Config(
        vocab_size=model.embed.num_embeddings,
        n_positions=longest,
        n_embd=config.n_embd,
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_inner=config.n_hidden * 3 // 2,  # of two matrices, where SwiGLU has three
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
    )
    return GPT2LMHeadModel(sizes)


def olmo(model: GPT) -> nn.Module:
    """The same model as an OLMo of `transformers`, which has the same logits."""
    from transformers import OlmoConfig, OlmoForCausalLM

    sizes = OlmoConfig(
        vocab_size=model.embed.num_embeddings,
        hidden_size=model.embed.embedding_dim,
        intermediate_size=model.blocks[0].mlp_out.in_features,
        num_hidden_layers=len(model.blocks),
        num_attention_heads=model.n_head,
        pad_token_id=None,
        eos_token_id=EOS,
        tie_word_embeddings=False,
    )
    made = OlmoForCausalLM(sizes).to(model.head.weight.device)
    made.load_state_dict(olmo_weights(model))
    return made


def olmo_weights(model: GPT) -> dict[str, Tensor]:
    """The weights under the names that OLMo has there."""
    weights = {
        "model.embed_tokens.weight": model.embed.weight,
        "lm_head.weight": model.head.weight,
    }
    for i, block in enumerate(model.blocks):
        for matrix, parts in PARTS.items():
            pieces = getattr(block, matrix).weight.chunk(len(parts))
            for part, piece in zip(parts, pieces, strict=True):
                weights[f"model.layers.{i}.{part}.weight"] = piece
    return weights


def length(example: Example) -> int:
    """Of prompt and target together."""
    return sum(map(len, example))


def filled(rows: list[list[int]], filler: int, side: str = "right") -> Tensor:
    """Rows side by side (B, T), the shorter ones filled up."""
    tensors = list(map(torch.tensor, rows))
    return pad_sequence(tensors, batch_first=True, padding_value=filler, padding_side=side)


def taken(rows: list[list[int]], side: str = "right") -> Tensor:
    """(B, T) 1 where `filled` has the row's own, else 0."""
    return filled([[1] * len(row) for row in rows], 0, side)


def padded(examples: list[Example], device: str) -> Padded:
    """A batch as most programs train it."""
    rows = [prompt + target for prompt, target in examples]
    labels = [[IGNORED] * len(prompt) + target for prompt, target in examples]
    batch = (filled(rows, EOS), taken(rows), filled(labels, IGNORED))
    return tuple(part.to(device) for part in batch)


def their_steps(
    model: nn.Module, optimizer: optim.Optimizer, batches: list[Padded], mixed: bool
) -> None:
    """A step a batch, in mixed precision or in float32."""
    precision = mixed_precision(batches[0][0].device) if mixed else nullcontext()
    for ids, mask, labels in batches:
        with precision:
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def our_steps(model: nn.Module, optimizers: list[Optimizer], batches: list[list[Example]]) -> None:
    """A step a batch."""
    same = [1.0] * len(batches)
    for _ in fit(model, optimizers, batches, same, same):
        pass


def their_answers(model: nn.Module, prompts: list[list[int]], limit: int) -> list[list[int]]:
    """Greedy completions of prompts in order of length, with probabilities."""
    said = []
    for part in chunks(prompts, TOGETHER):
        ids = filled(part, EOS, "left").to(model.device)
        found = model.generate(
            ids,
            attention_mask=taken(part, "left").to(model.device),
            max_new_tokens=limit,
            do_sample=False,
            pad_token_id=EOS,
            return_dict_in_generate=True,
            output_logits=True,
        )
        torch.stack(found.logits).softmax(-1).amax(-1).tolist()
        said += found.sequences[:, ids.size(1) :].tolist()
    return said


def ratio(ours: Work, theirs: Work, as_it_comes: bool = True) -> float:
    """How many times as long theirs takes: the shortest of several times each, in turn."""
    products = {ours: nullcontext, theirs: torchs_products if as_it_comes else nullcontext}
    shortest = dict.fromkeys(products, inf)
    for turn in range(1 + TIMES):  # the first is to warm up
        for work, taken in products.items():
            start = time.perf_counter()
            with taken():
                work()
            wait()
            if turn:
                shortest[work] = min(shortest[work], time.perf_counter() - start)
    return shortest[theirs] / shortest[ours]


def peers(device: str, run: str) -> None:
    """Print how fast others are.  UserError where libraries, or a model in `run`, are missing."""
    try:
        import peft
        import transformers
    except ImportError:
        advice = "pip install transformers peft"
        raise UserError(f"--peers measures two packages that are not here: {advice}") from None
    transformers.logging.set_verbosity_error()
    model, config, codec, _ = load(run, device)
    answers(model, config, codec)
    steps(model, config, codec)
    versions = (f"{module.__name__} {module.__version__}" for module in (transformers, peft, torch))
    print(", ".join(versions))


def steps(model: GPT, config: Config, codec: Codec) -> None:
    """Print how fast steps are, of all weights and of adapters."""
    device = str(model.head.weight.device)
    families = chosen(config.base_families)
    count = STEPS * config.base_batch
    problems = balanced(dice(1, "peers"), "train", config.base_levels, count, families)
    examples = encode(codec, [(problem.prompt, problem.target) for problem in problems])
    batches = chunks(examples, config.base_batch)

    def told(name: str, ours: Work, theirs: nn.Module) -> None:
        """Print ratios: for rows as they were drawn, sorted first, and with our products."""
        trained = [weight for weight in theirs.parameters() if weight.requires_grad]
        optimizer = optim.AdamW(trained, lr=RATE, fused=True)
        alike = chunks(sorted(examples, key=length), config.base_batch)
        ways = (
            ("rows filled up", batches, False),
            ("rows filled up, of like length", alike, False),
            ("rows filled up, of like length, our products", alike, True),
        )
        for way, some, as_ours in ways:
            rows = [padded(batch, device) for batch in some]
            work = partial(their_steps, theirs, optimizer, rows, as_ours)
            print(f"{name}, {way}: {ratio(ours, work, not as_ours):.2f} times")

    longest = max(map(length, examples))
    fresh = GPT(config, len(codec.vocabulary)).to(device)
    full = partial(our_steps, fresh, build(fresh, fresh.blocks, RATE), batches)
    told("training step, GPT2LMHeadModel", full, gpt2(config, fresh, longest).to(device))

    theirs = adapted_olmo(model, config)
    weights = lora.add(model.requires_grad_(False).blocks, config.r, config.lora_alpha)
    adapted = partial(our_steps, model, [AdamW(weights, RATE)], batches)
    told("LoRA step, PEFT on OlmoForCausalLM", adapted, theirs)
    print(f"LoRA step, a step of all weights: {ratio(adapted, full, as_it_comes=False):.2f} times")


def adapted_olmo(model: GPT, config: Config) -> nn.Module:
    """The same model with PEFT's adapters, of as many weights."""
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        r=config.r,
        lora_alpha=config.lora_alpha,
        target_modules=NAMES,
        # One adapter for q, k and v has as many weights as three of half the rank.
        rank_pattern={name: max(1, config.r // 2) for name in NAMES[:3]},
    )
    return get_peft_model(olmo(model), settings)


def answers(model: GPT, config: Config, codec: Codec) -> None:
    """Print how fast questions are answered, and whether the answers are the same."""
    families = chosen(config.base_families)
    problems = balanced(dice(1, "peers"), "train", config.levels, QUESTIONS, families)
    ids = sorted(codec.encode([problem.prompt for problem in problems]), key=len)
    prompts = codec.decode(ids)
    like = olmo(model).eval()
    ours = partial(generate, model, codec, prompts, config.limit)
    theirs = partial(their_answers, like, ids, config.limit)
    texts = codec.decode(theirs())
    same = sum(mine.text == text for mine, text in zip(ours(), texts, strict=True))
    times = ratio(ours, theirs)
    print(
        f"answers, OlmoForCausalLM.generate: {times:.2f} times; {same} of {len(ids)} are the same"
    )
