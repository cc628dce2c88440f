"""The picture on the page: few points, round values, dates that don't touch, and gaps that stay gaps."""

import re
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.report.page_curve import BOX, MOST_DATES, MOST_POINTS, Reach, curve, dates, grid
from tests.commands.report.made import account, new_account
from tradebot.views.performance.report import AccountReport

FEW, LONG = 3, 300


def points(path: str) -> list[tuple[int, int]]:
    """Return the points of a path."""
    return [(int(across), int(down)) for across, down in re.findall(r"(\d+) (-?\d+)", path)]


def longer(of: AccountReport, times: int) -> AccountReport:
    """Return the account with its curve repeated, later each time."""
    length = of.curve[-1].session - of.curve[0].session + timedelta(days=1)
    return replace(
        of,
        curve=tuple(replace(each, session=each.session + turn * length) for turn in range(times) for each in of.curve),
    )


def test_the_lines_begin_together_and_stay_in_the_box() -> None:
    found = curve([account(LONG)])
    assert found
    assert [kind for kind, _ in found["lines"]] == ["cash", "leveled", "benchmark", "account0"]
    assert [kind for kind, *_ in found["legend"]] == ["account0", "benchmark", "leveled", "cash"]
    lines = [points(path) for _, path in found["lines"]]
    assert len({line[0] for line in lines}) == 1
    assert {len(line) for line in lines} == {LONG + 1}
    assert all(0 <= each <= BOX for line in lines for point in line for each in point)
    assert found["legend"][0][2] == f"{100 * (account(LONG).curve[-1].index - 1):+.2f}"


def test_a_long_curve_is_thinned_but_keeps_its_ends_and_its_lowest_point() -> None:
    long = longer(account(LONG), 20)
    lowest = min(long.curve, key=lambda point: point.drawdown)
    found = curve([long])
    assert found
    ((_, area),) = found["areas"]
    drawn = points(area)[1:-1]
    assert len(drawn) <= MOST_POINTS
    assert (drawn[0][0], drawn[-1][0]) == (0, BOX)
    across = (lowest.session - long.curve[0].session).days / (long.curve[-1].session - long.curve[0].session).days
    deepest = max(drawn, key=lambda point: point[1])
    assert deepest[0] == pytest.approx(BOX * across, abs=2)


def test_a_line_is_broken_where_nothing_is_known() -> None:
    of = account(LONG)
    holed = replace(of, curve=(*of.curve[:10], replace(of.curve[10], benchmark=None), *of.curve[11:]))
    found = curve([holed])
    assert found
    paths = dict(found["lines"])
    assert (paths["account0"].count("M"), paths["benchmark"].count("M")) == (1, 2)
    unknown = replace(of, curve=tuple(replace(each, benchmark=None) for each in of.curve))
    found = curve([unknown])
    assert found
    assert "benchmark" not in dict(found["lines"])


def test_two_accounts_are_compared_with_one_benchmark() -> None:
    found = curve([account(LONG, 1, "one"), account(LONG, 5, "other")])
    assert found
    assert [(kind, name) for kind, name, _ in found["legend"]][:2] == [("account0", "one"), ("account1", "other")]
    assert [kind for kind, *_ in found["legend"]][2:] == ["benchmark", "cash"], "each has an exposure of its own"
    assert "one grew by" in found["words"]
    assert "other grew by" in found["words"]


def test_without_a_drawdown_only_zero_is_marked_below() -> None:
    found = curve([account(FEW)])
    assert found
    assert all(point.drawdown == 0 for point in account(FEW).curve)
    assert found["fall_grid"] == [("0", "0%")]


def test_without_two_points_there_is_no_picture() -> None:
    assert curve([new_account()]) is None
    found = curve([new_account(), account(3, 5, "other")])
    assert found
    assert [kind for kind, _ in found["lines"]] == ["cash", "benchmark", "account1"]


FALLS = (0.0, -1e-7, *(-digit * 10.0**power for power in range(-6, 0) for digit in (1, 3.3, 9.9)))
RISES = (*(digit * 10.0**power for power in range(-6, 0) for digit in (1, 3.3, 9.9)), 1.0, 2.1, 5.0)


@pytest.mark.parametrize("count", range(2, 9))
def test_the_grid_is_at_different_round_values_from_the_highest_down(count: int) -> None:
    for low, high in product(FALLS, RISES):
        is_at_different_round_values(grid(Reach(0, 1, low, high), count), count)


def is_at_different_round_values(found: list[tuple[str, str]], count: int) -> None:
    """Assert that a grid of about so many lines is labeled and in its place."""
    assert 1 <= len(found) <= 2 * count + 2
    places = [float(down) for down, _ in found]
    labels = [label for _, label in found]
    assert all(-1e-6 <= place <= 1 + 1e-6 for place in places)
    assert places == sorted(places, reverse=True)
    assert len(set(labels)) == len(labels)
    assert "0%" in labels


@given(st.dates(date(1990, 1, 1), date(2030, 1, 1)), st.integers(1, 15_000))
def test_there_are_few_dates_from_left_to_right(first: date, days: int) -> None:
    found = dates(Reach(first.toordinal(), first.toordinal() + days, 0, 1))
    assert 1 <= len(found) <= MOST_DATES
    assert all(float(before[0]) < float(after[0]) for before, after in pairwise(found))
    assert all(0 <= float(across) <= 100 for across, _, _ in found)
    assert found[0][2]
