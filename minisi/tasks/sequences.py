"""Lists to sort and chains of facts to follow."""

import re
import string
from collections import Counter
from itertools import pairwise
from random import Random

from ..run.runtime import UserError
from .family import Family, Solution, Way, insist, up_to


class Sort(Family):
    """`sort 5 2 8 3`: digits."""

    pattern = r"sort( \d)+"
    words = "sort"

    def ask(self, rng: Random, level: int) -> str:
        """Up to level + 3 digits, one of them at least."""
        return "sort " + " ".join(rng.choices(string.digits, k=up_to(rng, level + 3)))

    def level(self, question: str) -> int:
        """By the count of digits."""
        return max(1, question.count(" ") - 3)

    def solve(self, question: str) -> Solution:
        """Insert them one by one into a sorted list: `5,2 5,2 5 8`."""
        numbers = question.split()[1:]
        lists = [" ".join(sorted(numbers[: i + 1])) for i in range(len(numbers))]
        return ",".join(lists[:-1] or lists), lists[-1]

    def canonical(self, question: str) -> str:
        """The order of the list doesn't matter."""
        return " ".join(sorted(question.split()))

    def parts(self, question: str, rng: Random) -> Way:
        """`sort 5 2 8 3 9 4 7`: all but the last; then that among each half of the others."""
        *first, last = question.split(" ")
        if len(first) < 3:
            text = "|".join((yield question))
        else:
            text = yield from self.insert(first, last, rng)
        numbers = question.split(" ")[1:]
        for i, line in enumerate(re.split("[,|]", text), 1):
            insist(Counter(line.split(" ")) == Counter(numbers[:i]))
        return text

    def insert(self, first: list[str], last: str, rng: Random) -> Way:
        """One more number among others that are sorted."""
        steps, done = yield " ".join(first)
        numbers = done.split(" ")
        low = numbers[: (len(numbers) + 1) // 2]
        high = numbers[len(numbers) // 2 :]
        shuffled = rng.sample([*low, last], len(low) + 1)
        _, lower = yield f"sort {' '.join(shuffled)}"
        shuffled = rng.sample([*high, last], len(high) + 1)
        _, upper = yield f"sort {' '.join(shuffled)}"

        if lower.split(" ") == [*low, last]:
            whole = [*numbers[: -len(high)], upper]
        elif upper.split(" ") == [last, *high]:
            whole = [lower, *numbers[len(low) :]]
        else:
            raise ValueError("the last number is neither below the upper half nor above the lower")
        return f"{steps},{done}|{' '.join(whole)}"


class Chain(Family):
    """`c>f,a>c,f>b from a 3`: shuffled facts; follow the path for so many hops."""

    pattern = r"[a-z]>[a-z](?:,[a-z]>[a-z])* from [a-z] [1-9]\d?"
    words = "from"

    def ask(self, rng: Random, level: int) -> str:
        """Up to level + 1 hops, and mostly a fact beyond or beside them that leads astray."""
        hops = up_to(rng, min(level + 1, 23))  # more than that, and the alphabet is used up
        path = rng.sample(string.ascii_lowercase, hops + 3)
        facts = [f"{a}>{b}" for a, b in pairwise(path)]
        beyond, beside = facts[hops:]
        facts[hops:] = rng.choice(([beyond], [beside], [beyond], [beside], []))
        rng.shuffle(facts)
        return f"{','.join(facts)} from {path[0]} {hops}"

    def level(self, question: str) -> int:
        """By the count of hops; there is at most one fact more."""
        hops = self.solve(question)[0].count(">")
        return max(1, hops - 1) if question.count(">") in (hops, hops + 1) else 0

    def solve(self, question: str) -> Solution:
        """The facts in the order of the path: `a>c,c>f,f>b`."""
        facts, _, at, hops = question.split(" ")
        arrows = dict(fact.split(">") for fact in facts.split(","))
        if len(arrows) <= facts.count(","):
            raise UserError("two facts start from the same letter: leave one of them out")
        steps = []
        for _ in range(int(hops)):
            if at not in arrows:
                raise UserError(f"no fact leads on from {at!r}: ask for fewer hops or add one")
            steps.append(f"{at}>{arrows[at]}")
            at = arrows[at]
        return ",".join(steps), at

    def canonical(self, question: str) -> str:
        """The order of the facts doesn't matter."""
        facts, query = question.split(" ", 1)
        return f"{','.join(sorted(facts.split(',')))} {query}"

    def parts(self, question: str, rng: Random) -> Way:
        """`c>f,a>c,f>b,b>e from a 4`: some hops, then the others by the facts that are left."""
        facts, _, at, hops = question.split(" ")
        known = facts.split(",")
        k = max(1, (int(hops) + rng.randrange(2)) // 2)
        steps = []
        for count in filter(None, (k, int(hops) - k)):
            text, at = yield f"{','.join(rng.sample(known, len(known)))} from {at} {count}"
            more = text.split(",")
            insist({*more} <= {*known} and len(more) == count and text.endswith(f">{at}"))
            known = [fact for fact in known if fact not in more]
            steps += more
        return f"{','.join(steps)}|{at}"
