"""What is told of a world that grew, against counting by hand."""

import io

from matplotlib.figure import Figure

from minisi.lab import pictures
from minisi.lab.growth import opened, openings


def row(levels, covered, known, labels):
    """A round: the open levels, the share of the next that has labels, and figures by level."""
    names = [str(level) for level in range(1, len(known) + 1)]
    return {
        "levels": levels,
        "coverage_above": covered,
        "by_level": dict(zip(names, known, strict=True)),
        "corrections": 100 * levels,
        "seconds": 60.0,
        "label_precision_by_level": labels,
    }


ROUNDS = [
    row(1, 0.2, [0.5, 0.1, 0.1], {}),
    row(1, 0.9, [0.8, 0.2, 0.1], {"1": 0.9}),
    row(2, 0.6, [0.8, 0.5, 0.2], {"1": 1.0, "2": 0.7}),
    row(2, 0.9, [0.9, 0.8, 0.3], {"2": 0.9}),
]


def cell(arm, rounds):
    labels = {"1": [40, 38], "2": [1000, 995]} if len(rounds) > 1 else {}
    return {"arm": arm, "seed": 3, "rounds": rounds, "labels": labels}


def test_each_level_that_was_open_has_its_story():
    first, second = openings(cell("failure", ROUNDS), 1)
    told = [first[name] for name in ("level", "round", "minutes", "corrections")]
    assert told == [1, "-", 0, 0]
    assert (first["covered"], first["base"], first["then"], first["end"]) == ("-", 0.5, 0.8, 0.9)
    assert (first["labels"], first["right"], first["worst"]) == ("40", "0.950", "0.900")
    told = [second[name] for name in ("level", "round", "minutes", "corrections", "covered")]
    assert told == [2, 1, 2, 100, "0.900"]
    assert (second["base"], second["then"], second["end"]) == (0.1, 0.5, 0.8)
    assert (second["labels"], second["right"], second["worst"]) == ("1,000", "0.995", "0.700")


def test_a_run_that_opened_nothing_has_one_level_without_labels():
    wide = [{**row, "levels": 2} for row in ROUNDS]
    page = opened([cell("static", ROUNDS[:1]), cell("vote", ROUNDS), cell("wide", wide)])
    assert page.count("| vote | 3 |") == page.count("| wide | 3 |") == 2
    (line,) = [line for line in page.splitlines() if "static" in line]
    assert line == "| static | 3 | 1 | - | 0 | 0 | - | 0.500 | 0.500 | **0.500** |  |  |  |"


def test_the_picture_has_a_map_for_each_run():
    cells = [cell("failure", ROUNDS), cell("static", ROUNDS[:2]), cell("vote", ROUNDS)]
    figure = Figure(layout="constrained")
    pictures.growth(cells, figure)
    maps = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title().split(":")[0] for axes in maps] == ["failure", "static", "vote"]
    for axes in maps:
        rounds = ROUNDS[:2] if "static" in axes.get_title() else ROUNDS
        shown = axes.images[0].get_array().T.tolist()
        assert shown == [list(r["by_level"].values()) for r in rounds]
        assert list(axes.lines[0].get_ydata()) == [r["levels"] + 0.5 for r in rounds]
    figure.savefig(io.BytesIO())
