"""python -m minisi ask "347+586"    one question, answered and checked
python -m minisi bench            how fast this machine trains and decodes
python -m minisi testset          the rows of data/test.jsonl
"""

from argparse import RawDescriptionHelpFormatter

from minisi.run.config import DEVICES, Config, Parser

if __name__ == "__main__":  # before torch is loaded, so that --help answers at once
    PARSER = Parser(
        prog="python -m minisi",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    COMMANDS = PARSER.add_subparsers(dest="command", required=True)
    ASK = COMMANDS.add_parser("ask", help="answer a question")
    BENCH = COMMANDS.add_parser("bench", help="measure this machine")
    COMMANDS.add_parser("testset", help="print the rows of data/test.jsonl")
    ASK.add_argument("question", help="such as '347+586'")
    HELP = "folder with a model, of a run or a base (default %(default)s)"
    ASK.add_argument("--run", default=Config.out, help=HELP)
    for command in (ASK, BENCH):
        HELP = "where to compute (default %(default)s)"
        command.add_argument("--device", default="auto", choices=DEVICES, help=HELP)
    GIVEN = PARSER.parse_args()

from pathlib import Path

from minisi.lab.bench import bench
from minisi.lab.testset import make_test_set
from minisi.method.detect import RAW, confidence, features
from minisi.model.generate import generate
from minisi.model.gpt import GPT
from minisi.model.tokenizer import Codec
from minisi.run.checkpoint import read_state
from minisi.run.runtime import UserError, cli, pick_device
from minisi.tasks.families import vocabulary_words
from minisi.tasks.problems import BAR, check, solve


def ask(run: str, question: str, device: str) -> None:
    """Print the steps, the answer, the confidence, and whether the tutor program agrees."""
    problem = solve(question)
    codec = Codec(vocabulary_words())
    state = read_state(Path(run), codec.checksum)
    if state is None:
        raise UserError(
            f"{run} holds no model: run python loop.py first, or name another folder with --run"
        )
    config = Config(**state.facts["config"])
    model = GPT(config, len(codec.vocabulary)).to(pick_device(device)[0])
    model.load_state_dict(state.tensors["model"])
    (completion,) = generate(model, codec, [problem.prompt], config.limit)
    scaling = state.facts.get("weights", RAW)  # a base has none yet
    (sure,) = confidence(features([completion]), scaling)
    steps, _, answer = completion.text.partition(BAR)
    kind = check(problem.answer, completion.whole)
    truth = f"{kind}, the answer is {problem.answer} by {problem.steps}"
    print(f"steps: {steps}\nanswer: {answer}\nconfidence: {sure:.4f}")
    print(f"solver: {'agrees' if kind == 'right' else truth}")


def main() -> None:
    """Do what was asked for."""
    if GIVEN.command == "ask":
        ask(GIVEN.run, GIVEN.question, GIVEN.device)
    elif GIVEN.command == "bench":
        bench(GIVEN.device)
    else:
        print("\n".join(make_test_set()))


if __name__ == "__main__":
    cli(main)
