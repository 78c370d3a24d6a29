"""Word problems in plain English words."""

import re
from random import Random

from ..run.runtime import UserError
from .arithmetic import operation
from .family import Family, Solution, Way, forms, insist, up_to

PEOPLE = "tom ann ben eva sam mia leo zoe max ida kim jon"
OBJECTS = "apples books coins cards shells pens cups stones nuts eggs stamps maps"
GAINING = "buys finds wins picks makes earns bakes gets"
LOSING = "loses sells drops spends returns eats lends gives"
NAMES, THINGS, GAINS, LOSSES = map(str.split, (PEOPLE, OBJECTS, GAINING, LOSING))
WHOM = {"gets": " from ", "gives": " to "}
LIMITS = (19, 49, 99)  # of the numbers in a story


class Story(Family):
    """`ann has 19 pens, gives 6 to eva, buys 4: how many?`: one sum or difference an event."""

    pattern = r"[a-z]+ has \d+ [a-z]+(?:, [a-z]+ \d+(?: (?:to|from) [a-z]+)?)*: how many\?"
    words = f"{PEOPLE} {OBJECTS} {GAINING} {LOSING} has from to how many"

    def ask(self, rng: Random, level: int) -> str:
        """Up to `level` events, with numbers up to 19, 49 or 99."""
        most = rng.choice(LIMITS)
        name = rng.choice(NAMES)
        have = rng.randint(0, most)
        text = f"{name} has {have} {rng.choice(THINGS)}"
        for _ in range(up_to(rng, level)):
            n = rng.randint(1, most // 2)
            gains = GAINS if have + n <= most else []
            losses = LOSSES if have >= n else []
            verb = rng.choice(gains + losses)
            have += n if verb in GAINS else -n
            text += f", {verb} {n}"
            if verb in WHOM:
                text += WHOM[verb] + rng.choice([other for other in NAMES if other != name])
        return f"{text}: how many?"

    def level(self, question: str) -> int:
        """By the count of events, where all words are known and no number is too large."""
        known = {*re.findall("[a-z]+", question)} <= {*self.words.split()}
        numbers = re.findall(r"\d+", f"{question}{self.solve(question)[0]}")
        return question.count(",") if known and max(map(int, numbers)) <= max(LIMITS) else 0

    def solve(self, question: str) -> Solution:
        """`19-6=13,13+4=17`."""
        start, *events = question.split(":")[0].split(", ")
        total = start.split()[2]
        steps = []
        for event in events:
            verb, n = event.split()[:2]
            if verb not in GAINS + LOSSES:
                raise UserError(
                    f"{verb!r} is no verb of a story: take one of {', '.join(GAINS + LOSSES)}"
                )
            step, left = operation(total, "+" if verb in GAINS else "-", n)
            if int(left) < 0:
                raise UserError(f"{total} are too few to take {n} away: let the story have more")
            steps.append(step)
            total = left
        return ",".join(steps) or total, total

    def canonical(self, question: str) -> str:
        """Who it is about, and what, doesn't matter."""
        seen = {}
        known = "|".join(NAMES + THINGS)
        return re.sub(
            rf"\b({known})\b", lambda match: seen.setdefault(match[0], f"#{len(seen)}"), question
        )

    def parts(self, question: str, rng: Random) -> Way:
        """Each event by itself; what it is taken to mean, such as `7+3`, is asked alone too."""
        head, *events = question.removesuffix(": how many?").split(", ")
        name, has, value, things = head.split(" ")
        if not events:
            steps, left = yield question
            insist(steps == left == value)
            return f"{steps}|{left}"
        done = []
        for event in events:
            step, left = yield f"{name} {has} {value} {things}, {event}: how many?"
            meant = re.split("[:=]", step)[0]
            n = event.split(" ")[1]
            insist(meant in (f"{value}+{n}", f"{value}-{n}"))
            more, again = yield meant
            insist(step in forms(meant, more, left))
            insist(again == left and left.isdecimal())
            done.append(step)
            value = left
        return f"{','.join(done)}|{value}"
