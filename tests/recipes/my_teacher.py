"""A teacher of your own: it has no time for long solutions."""

from minisi.method.teacher import TEACHERS, Solver
from minisi.tasks.problems import Problem


class Hasty(Solver):
    name = "hasty"

    def solutions(self, problems: list[Problem], stream: tuple[str, int]) -> list[str]:
        texts = super().solutions(problems, stream)
        return [text if len(text) < 40 else "" for text in texts]


TEACHERS["hasty"] = Hasty
