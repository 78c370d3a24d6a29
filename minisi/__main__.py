"""python -m minisi ask                what you type, answered and checked
python -m minisi ask "347+586"      one question
python -m minisi ask --file FILE    many questions, a JSON row for each
python -m minisi bench              how fast this machine trains and decodes
python -m minisi bench --peers      how fast GPT-2, PEFT and transformers are beside it
python -m minisi export --to DIR    a run for transformers, PEFT and datasets
python -m minisi testset NAME       the rows of data/NAME.jsonl, such as test
python -m minisi testset --levels 6 --count 4096 --seed 7      a test set of your own
"""

import re
import sys
from argparse import RawDescriptionHelpFormatter

from minisi.lab.plugins import plug_in
from minisi.lab.testset import SETS
from minisi.run.config import DEVICES, Parser, positive
from minisi.run.runtime import loading

if __name__ == "__main__":  # before torch is loaded, so that --help answers at once
    loading()
    plug_in(sys.argv)
    PARSER = Parser(
        prog="python -m minisi",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    COMMANDS = PARSER.add_subparsers(dest="command", required=True)
    ASK = COMMANDS.add_parser("ask", help="answer a question")
    BENCH = COMMANDS.add_parser("bench", help="measure this machine")
    TESTSET = COMMANDS.add_parser("testset", help="print the rows of a frozen set, or of your own")
    TESTSET.add_argument("name", nargs="?", choices=SETS, help="one of %(choices)s")
    OWN = TESTSET.add_argument_group("a set of your own, where no name is given")
    OWN.add_argument("--levels", type=positive, default=4, help="1 to this (default %(default)s)")
    OWN.add_argument(
        "--count", type=positive, default=2048, help="about so many (default %(default)s)"
    )
    OWN.add_argument("--seed", type=int, default=1, help="random seed (default %(default)s)")
    ASKED = ASK.add_mutually_exclusive_group()
    ASKED.add_argument("question", nargs="*", default=[], help="such as '347+586'")
    ASKED.add_argument("--file", help="a text of one question a line; prints a JSON row each")
    BENCH.add_argument(
        "--peers",
        action="store_true",
        help="set GPT-2, PEFT and generate beside it (needs transformers and peft)",
    )
    EXPORT = COMMANDS.add_parser("export", help="write a run for other tools (needs transformers)")
    EXPORT.add_argument("--to", required=True, help="folder that gets the files")
    for command in (ASK, BENCH, EXPORT):
        command.add_argument(
            "--run",
            help="folder of a run or a base (default: the newest run right under runs/)",
        )
    for command in (ASK, BENCH):
        command.add_argument(
            "--device",
            default="auto",
            choices=DEVICES,
            help="where to compute (default %(default)s)",
        )
    for command in (ASK, EXPORT, TESTSET):
        command.add_argument("--plugin", help="a Python file of yours with families of questions")
    # A question may begin with a minus; a space before it tells it from an option.
    GIVEN = PARSER.parse_args([re.sub(r"^(?=-+[\d(])", " ", text) for text in sys.argv[1:]])

import json
from pathlib import Path

from minisi.lab.ask import ask, newest, shown, talk
from minisi.lab.bench import bench
from minisi.lab.export import export
from minisi.lab.peers import peers
from minisi.lab.testset import make_set, own_set
from minisi.run.runtime import UserError, cli


def main() -> None:
    """Do what was asked for."""
    if GIVEN.command == "testset":
        names = ("levels", "count", "seed")
        asked = [getattr(GIVEN, name) for name in names]
        if GIVEN.name and asked != [TESTSET.get_default(name) for name in names]:
            raise UserError(
                f"{GIVEN.name} is frozen: leave out its name, or what your own would have"
            )
        print("\n".join(make_set(GIVEN.name) if GIVEN.name else own_set(*asked)))
        return
    run = GIVEN.run or newest()
    if GIVEN.command == "ask":
        answer_all(run)
    elif GIVEN.command == "export":
        export(run, GIVEN.to)
    elif GIVEN.peers:
        peers(GIVEN.device, run)
    else:
        bench(GIVEN.device)


def answer_all(run: str) -> None:
    """Answer the question that was given, or those of a file, or what is typed."""
    if GIVEN.file is not None:
        content = Path(GIVEN.file).read_text("utf-8-sig", "replace")
        texts = content.removesuffix("\n").split("\n") if content else []
        for row in ask(run, texts, GIVEN.device):
            print(json.dumps(row))
    elif GIVEN.question:
        (row,) = ask(run, [" ".join(GIVEN.question)], GIVEN.device)
        print(shown(row))
    else:
        talk(run, GIVEN.device)


if __name__ == "__main__":
    cli(main, goes_on=False)
