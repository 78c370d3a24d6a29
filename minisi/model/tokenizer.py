"""Text to token ids and back, on the `tokenizers` package: a token per digit, letter and word.

    "if tom has 12" -> "if", " tom", " has", " 1", "2"   a word or digit takes the space before it
    "7+6+0=13"      -> "7", "+", "6", "+0=", "1", "3"    an operation takes its last digit and the =
    "c>f,a>c"       -> "c>", "f", ",", "a>", "c"         an arrow belongs to its letter

With a token between two letters, to follow a chain of arrows isn't learned.
"""

import re
from string import ascii_lowercase, digits

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from ..run.files import sha256
from ..run.runtime import UserError

Ids = list[list[int]]  # of the tokens of some texts
EOS = 0  # end of text; also fills up what is decoded
SYMBOLS = "+-*()=,<>:?| "


class Codec:
    """encode(texts) -> lists of ids; decode(lists of ids) -> texts; decode(encode(x)) == x."""

    def __init__(self, words: list[str]) -> None:
        """`words` are those of the language, sorted."""
        self.vocabulary = ["<eos>", *digits, *SYMBOLS, *ascii_lowercase, *words]
        self.vocabulary += [f" {word}" for word in [*words, *digits]]
        self.vocabulary += [f"{letter}>" for letter in ascii_lowercase]
        self.vocabulary += [f"{symbol}{digit}=" for symbol in "+-*" for digit in digits]
        self.checksum = sha256(" ".join(self.vocabulary))

        word = f" ?(?<![a-z])(?:{'|'.join(words)})(?![a-z])"
        self.piece = f"{word}|[a-z]>|[+*-][0-9]=| ?[0-9]|."  # see the examples above
        ids = {token: i for i, token in enumerate(self.vocabulary)}
        self.tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<none>"))
        self.tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(self.piece), "isolated")

    def encode(self, texts: list[str]) -> Ids:
        """Token ids of each text; UserError names the first piece outside the alphabet."""
        try:
            return [encoded.ids for encoded in self.tokenizer.encode_batch_fast(texts)]
        except Exception:  # the package raises nothing narrower
            pieces = re.findall(self.piece, "".join(texts), re.DOTALL)
            unknown = next(piece for piece in pieces if piece not in self.vocabulary)
            raise UserError(
                f"{unknown!r} is outside the model's alphabet: digits, {SYMBOLS!r}, a-z and the"
                " words of its families"
            ) from None

    def decode(self, ids: Ids) -> list[str]:
        """Text of each list of ids; end-of-text is left out."""
        return ["".join(self.vocabulary[i] for i in row if i != EOS) for row in ids]
