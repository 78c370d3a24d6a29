"""Text to token ids and back, on the `tokenizers` package: a token per digit, letter, symbol and word.

    "if tom has 12" -> "if", " tom", " has", " 1", "2"     a word or a digit takes the space before it with it
    "7+6+0=13"      -> "7", "+", "6", "+0=", "1", "3"      an operation takes its last digit and the =
    "c>f,a>c"       -> "c>", "f", ",", "a>", "c"           an arrow belongs to its letter: with a token between two letters, `chain` isn't learned"""
import re, string
from collections.abc import Sequence
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from .families import Story
from .runtime import UserError

SYMBOLS = "+-*()=,>:?| "
WORDS = sorted({*Story.NAMES, *Story.THINGS, *Story.GAINS, *Story.LOSSES, *"has from to how many sort and or".split()})
PIECE = f" ?(?<![a-z])(?:{'|'.join(WORDS)})(?![a-z])|[a-z]>|[+*-][0-9]=| ?[0-9]|."  # see the examples above
EOS = 0  # end of text; also fills up batches, where it is masked
JOINED = [*(f" {w}" for w in [*WORDS, *string.digits]), *(f"{c}>" for c in string.ascii_lowercase), *(f"{o}{d}=" for o in "+-*" for d in string.digits)]
VOCABULARY = ["<eos>", *string.digits, *SYMBOLS, *string.ascii_lowercase, *WORDS, *JOINED]

class Codec:
    """encode(texts) -> lists of ids; decode(lists of ids) -> texts; decode(encode(x)) == x."""
    def __init__(self) -> None:
        self.tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(VOCABULARY)}, unk_token="<none>"))
        self.tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "isolated")
    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text; raises UserError that names the first piece outside the alphabet."""
        try:
            return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]
        except Exception:  # the package raises nothing narrower
            unknown = next(piece for text in texts for piece in re.findall(PIECE, text, re.DOTALL) if piece not in VOCABULARY)
            raise UserError(f"{unknown!r} is outside the model's alphabet: digits, {SYMBOLS!r}, a-z and the words of its families") from None
    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Text of each list of ids; end-of-text is left out."""
        return ["".join(VOCABULARY[i] for i in row if i != EOS) for row in ids]
