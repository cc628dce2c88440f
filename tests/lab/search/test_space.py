"""A space is checked against the loader and coherence before anything is played."""

from pathlib import Path

import pytest

from tradebot.app.baseline import effective
from tradebot.app.settings import load
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.lab.search.space import Spaced, check, read_space

FLOW = "strategies.flow.limits.min_score"


def spaced(folder: Path, text: str) -> Spaced:
    file = folder / "space.yaml"
    file.write_text(text)
    return Spaced(read_space(file), load(None, {}, {"mode": "sandbox"}).settings, "space.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("settings: {a: {from: 1}}", "settings.a.to"),
        ("settings: {a: {from: 2, to: 1}}", "from must be below to"),
        ("settings: {a: {from: 0, to: 1, log: true}}", "log needs a range above zero"),
        ("settings: {a: []}", "settings.a"),
        ("settings: {}", "settings"),
        ("settings: {a: [1, 2]}\ntrail: 3", "trail: a space has no such key"),
        ("settings: {a: [1, 2]}\nobjectives: [luck]", "objectives must differ, and each must be one of sharpe"),
        ("settings: {a: [1, 2]}\nsampler: tpe\njudge: {by: cpcv}", "cpcv can't judge it"),
        (
            "settings: {a: {from: 0.1, to: 0.5}}\nsampler: grid",
            "a grid needs steps or choices, but there are none for a",
        ),
        ("settings: {a: [1, 2]}\njudge: {by: cpcv, parts: 4, judged: 3}", "at most half of the parts"),
    ],
)
def test_space_that_cannot_be_meant_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        spaced(tmp_path, text)


def test_missing_space_names_the_page_that_explains_it(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="there is no space") as raised:
        read_space(tmp_path / "nothing.yaml")
    assert "docs/SEARCH.md" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("settings: {strategies.flow.limit.min_score: [0.1, 0.2]}", "there is no such setting; did you mean limits"),
        (f"settings: {{{FLOW}: {{from: 0.1, to: 3.0}}}}", f"{FLOW} .space.yaml.: .*not 3"),
        ("settings: {limits.max_open_positions: {from: 1, to: 20}}", "above max_open_positions 1"),
        ("settings: {sandbox.seed: [1, 2]}", "sandbox.seed .space.yaml. belongs to the market or the run"),
    ],
)
def test_value_that_never_becomes_valid_is_refused_in_the_loaders_words(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check(spaced(tmp_path, text))


def test_values_that_only_some_combinations_allow_are_counted(tmp_path: Path) -> None:
    names = "limits.max_open_positions: {from: 2, to: 9}, limits.max_new_entries: {from: 1, to: 5}"
    of_flow = "strategies.flow.limits.max_open_positions: [2], strategies.flow.limits.max_new_entries: [1]"
    found = check(spaced(tmp_path, f"settings: {{{names}, {of_flow}}}"))
    assert 0 < found.refused < found.drawn
    assert "max_new_entries" in found.why


def test_drawn_values_are_the_same_for_the_same_seed_and_stay_in_their_range(tmp_path: Path) -> None:
    text = "settings: {a: {from: 1, to: 4}, b: {from: 0.001, to: 1.0, log: true}, c: [x, y]}\ntrials: 300\nseed: 7"
    one, other = ([*spaced(tmp_path, text).space.grid()] for _ in range(2))
    assert (one, {values["a"] for values in one}) == (other, {1, 2, 3, 4})
    small = sum(float(values["b"]) < 0.0316 for values in one)
    assert 110 < small < 190, "half of the orders of magnitude have about half of the values"
    assert all(0.001 <= float(values["b"]) <= 1 for values in one)


def test_grid_has_each_combination_once(tmp_path: Path) -> None:
    text = "settings: {a: {from: 1, to: 3}, b: {from: 0.1, to: 0.3, step: 0.1}, c: [true, false]}\nsampler: grid"
    space = spaced(tmp_path, text).space
    points = [tuple(values.values()) for values in space.grid()]
    assert len(points) == len({*points}) == space.total == 18
    assert {point[1] for point in points} == {0.1, 0.2, 0.3}


def test_values_are_those_that_the_bot_would_load(tmp_path: Path) -> None:
    settings = spaced(tmp_path, f"settings: {{{FLOW}: [0.1]}}").with_values({FLOW: 0.123456})
    assert effective(settings)["strategies"]["flow"]["limits"]["min_score"] == 0.1235
