"""Text to ids and back."""

import pytest

from minisi.families import FAMILIES
from minisi.runtime import UserError, dice
from minisi.tasks import balanced, draw
from minisi.tokenizer import EOS, VOCABULARY, WORDS


@pytest.mark.parametrize("family", FAMILIES)
def test_problems_come_back_as_they_were(family, codec):
    problems = [draw(dice(i, "tokens"), "train", family, 1 + i % 6) for i in range(60)]
    texts = [part for p in problems for part in (p.prompt, p.target, p.prompt + p.target)]
    ids = codec.encode(texts)
    assert codec.decode(ids) == texts and not any(EOS in row for row in ids)


@pytest.mark.parametrize("text", ["", "7", " ", "3 + 4", "tomb has 12", "a>b>c", "+7=+7=", "))((", "x 1 y  2", "howmany", "the cat", "ann: 3?", "5 or(7and 0)"])
def test_anything_in_the_alphabet_comes_back_as_it_was(text, codec):
    assert codec.decode(codec.encode([text])) == [text]


@pytest.mark.parametrize("text, character", [("3+4é", "'é'"), ("Tom has 3", "'T'"), ("3\n4", r"'\\n'"), ("8/2", "'/'"), ("3.5", r"'\.'"), ("日本", "'日'"), ("<eos>", "'<'"), ("٣+٤", "'٣'")])
def test_an_unknown_character_is_named(text, character, codec):
    with pytest.raises(UserError, match=f"{character} is outside"):
        codec.encode(["3+4", text])


def test_the_end_of_text_is_left_out_of_the_text(codec):
    (ids,) = codec.encode(["7+6=13"])
    assert codec.decode([[*ids, EOS], [EOS], []]) == ["7+6=13", "", ""]


def test_the_vocabulary_has_the_words_of_the_families_and_no_others(codec):
    rng = dice(1, "words")
    ids = codec.encode([draw(rng, "train", family, 3).prompt for family in FAMILIES for _ in range(300)])
    assert {VOCABULARY[i].strip() for row in ids for i in row} >= set(WORDS)


def test_every_token_is_distinct_and_a_number_is_read_digit_by_digit(codec):
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    seen = {VOCABULARY[i] for row in codec.encode([p.prompt + p.target for p in balanced(dice(1, "tokens"), "train", 4, 320)]) for i in row}
    assert all(sum(c.isdigit() for c in token) <= 1 for token in seen)
