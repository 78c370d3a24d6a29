"""What two ranks do together, held against what one does alone: started by test_ranks.py."""

import json
from random import Random

import torch

from minisi.model import trainer
from minisi.model.generate import confirm, generate
from minisi.model.tokenizer import Codec
from minisi.model.trainer import backward, encode
from minisi.run import ranks
from minisi.run.config import Config
from minisi.run.runtime import torch_dice
from minisi.tasks.families import vocabulary_words
from minisi.tasks.problems import balanced

from ..conftest import make_model

CODEC = Codec(vocabulary_words())
PROBLEMS = balanced(Random(1), "train", 3, 33)
BATCHES = [(33, 0), (33, 5), (1, 5)]  # rows, an odd number or for one rank alone; micro_batch
trainer.has_bfloat16 = lambda device: False  # so that sums in another order are the same


def gradients(rows, micro_batch):
    """(loss, tokens, all gradients) of a batch of so many rows."""
    model = make_model("cpu", CODEC)
    pairs = [(problem.prompt, problem.target) for problem in PROBLEMS[:rows]]
    found = backward(model, encode(CODEC, pairs), 0.3, micro_batch)
    return *found, [weight.grad for weight in model.parameters()]


def answers(**sampling):
    prompts = [problem.prompt for problem in PROBLEMS]
    model = make_model("cpu", CODEC)
    said = generate(model, CODEC, prompts, 12, **sampling)
    drafts = [c.text if i % 2 else "1|1" for i, c in enumerate(said)]
    return said, confirm(model, CODEC, prompts, drafts, 12)


def main():
    with ranks.joined(Config(device="cpu", base="runs/none", out="runs/nothing")):
        together = [gradients(*batch) for batch in BATCHES]
        said, confirmed = answers()
        sampled = generate(
            make_model("cpu", CODEC),
            CODEC,
            ["3+4|"] * 64,
            12,
            temperature=1.0,
            generator=torch_dice("cpu", 1, "samples"),
        )
        shares = ranks.gathered({ranks.RANK: len(ranks.mine(range(65)))})
        try:
            ranks.check_same({"w": torch.full((2,), float(ranks.RANK))})
            raise SystemExit("different weights were not noticed")
        except RuntimeError:
            ranks.check_same({"w": torch.ones(2)})
    drawn = [completion.tokens for completion in sampled]
    assert drawn[::2] != drawn[1::2], "both drew the same"
    for both, batch in zip(together, BATCHES, strict=True):
        alone = gradients(*batch)
        torch.testing.assert_close(both[0], alone[0])
        assert both[1] == alone[1]
        torch.testing.assert_close(both[2:], alone[2:], rtol=1e-4, atol=1e-6)
    for one, other in zip((said, confirmed), answers(), strict=True):
        assert [c and c.text for c in one] == [c and c.text for c in other]
    if ranks.RANK == 0:
        print(json.dumps([shares[0], shares[1]]))


if __name__ == "__main__":
    main()
