"""Text to ids and back."""

import pytest

from minisi.model.tokenizer import EOS, Codec
from minisi.run.runtime import UserError, dice
from minisi.tasks.families import FAMILIES, vocabulary_words
from minisi.tasks.problems import balanced, draw

IN_THE_ALPHABET = [
    *("", "7", " ", "3 + 4", "tomb has 12", "a>b>c", "+7=+7=", "))(("),
    *("x 1 y  2", "howmany", "the cat", "ann: 3?", "5 or(7and 0)", "xorand 5 xor"),
    *("03<,33=,80>", "6+-32:6-32:03<", "--5", "c>9", "=05+0=05", "<eos>"),
]
UNKNOWN = [  # a text, and what the error says of it
    ("3+4é", "'é'"),
    ("Tom has 3", "'T'"),
    ("3\n4", r"'\\n'"),
    ("8/2", "'/'"),
    ("3.5", r"'\.'"),
    ("日本", "'日'"),
    ("5&3", "'&'"),
    ("6~7", "'~'"),
    ("٣+٤", "'٣'"),
]


def tokens_of(codec, texts):
    """The tokens that each text is cut into."""
    return [[codec.vocabulary[i] for i in row] for row in codec.encode(texts)]


@pytest.mark.parametrize("family", FAMILIES)
def test_problems_come_back_as_they_were(family, codec):
    problems = [draw(dice(i, "tokens"), "train", family, 1 + i % 8) for i in range(64)]
    texts = []
    for problem in problems:
        texts += [problem.prompt, problem.target, problem.prompt + problem.target]
    ids = codec.encode(texts)
    assert codec.decode(ids) == texts
    assert not any(EOS in row for row in ids)


@pytest.mark.parametrize("text", IN_THE_ALPHABET)
def test_anything_in_the_alphabet_comes_back_as_it_was(text, codec):
    (ids,) = codec.encode([text])
    assert codec.decode([ids]) == [text]
    assert EOS not in ids


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("tom has 12", ["tom", " has", " 1", "2"]),
        ("7+6+0=13", ["7", "+", "6", "+0=", "1", "3"]),
        ("c>f,a>c", ["c>", "f", ",", "a>", "c"]),
        ("03<,2-6-0=16", ["0", "3", "<", ",", "2", "-", "6", "-0=", "1", "6"]),
        ("3>0", ["3", ">", "0"]),
        ("17*5:7", ["1", "7", "*", "5", ":", "7"]),
        ("6+-32=-26", [*"6+-32=-26"]),
        ("52 xor 37=65", ["5", "2", " xor", " 3", "7", "=", "6", "5"]),
        ("(5 or 3) and 6", ["(", "5", " or", " 3", ")", " and", " 6"]),
    ],
)
def test_a_text_is_cut_like_this(text, tokens, codec):
    assert tokens_of(codec, [text]) == [tokens]


@pytest.mark.parametrize(("text", "character"), UNKNOWN)
def test_an_unknown_character_is_named(text, character, codec):
    with pytest.raises(UserError, match=f"{character} is outside"):
        codec.encode(["3+4", text])


def test_the_end_of_text_is_left_out_of_the_text(codec):
    (ids,) = codec.encode(["7+6=13"])
    assert codec.decode([[*ids, EOS], [EOS], []]) == ["7+6=13", "", ""]


def test_the_vocabulary_has_the_words_of_the_families_and_no_others(codec):
    rng = dice(1, "words")
    prompts = [draw(rng, "train", family, 3).prompt for family in FAMILIES for _ in range(300)]
    seen = {token.strip() for row in tokens_of(codec, prompts) for token in row}
    assert seen >= set(vocabulary_words())

    pieces = {token.strip() for token in codec.vocabulary}
    words = {piece for piece in pieces if piece.isalpha() and len(piece) > 1}
    assert words == set(vocabulary_words())


def test_every_token_is_distinct(codec):
    assert len(set(codec.vocabulary)) == len(codec.vocabulary)


def test_a_number_is_read_digit_by_digit(codec):
    problems = balanced(dice(1, "tokens"), "train", 4, 320)
    texts = [problem.prompt + problem.target for problem in problems]
    for row in tokens_of(codec, texts):
        assert all(sum(c.isdigit() for c in token) <= 1 for token in row)


def test_a_given_word_becomes_a_token_with_and_without_a_space_before_it():
    codec = Codec(["apple", "zebra"])
    assert tokens_of(codec, ["zebra", " zebra"]) == [["zebra"], [" zebra"]]
    assert tokens_of(codec, ["apple zebra"]) == [["apple", " zebra"]]
    assert tokens_of(Codec(["apple"]), ["zebra"]) == [list("zebra")]


def test_codecs_have_one_checksum_where_they_have_the_same_words():
    codec = Codec(["apple", "zebra"])
    assert codec.checksum == Codec(["apple", "zebra"]).checksum
    assert codec.checksum != Codec(["apple", "zebu"]).checksum
    assert codec.checksum != Codec(["apple"]).checksum
