"""The picture of the curve in a page: few points, gaps that stay gaps, and names that stay as they are."""

import re
from datetime import timedelta

import pytest

from commands.report.chart import NARROW, POINTS_PER_INCH, WIDE, curve
from tests.commands.report.made import account, new_account
from tradebot.model.values import replace
from tradebot.views.performance.report import AccountReport

FEW, LONG = 3, 300


def drawn(*accounts: AccountReport) -> str:
    found = curve(accounts)
    assert found
    return str(found["wide"])


def texts(svg: str) -> list[str]:
    return re.findall(r">([^<>]+)</text>", svg)


def legend(svg: str) -> list[str]:
    return [text.rpartition(" ")[0] for text in texts(svg) if re.search(r" [+−][\d.]+%$", text)]


def path(svg: str, color: str, *, is_area: bool = False) -> str:
    """Return the longest path of a line or an area in a color of the page."""
    kind = "fill" if is_area else "stroke"
    found: list[str] = re.findall(rf'<path d="([^"]+)" style="[^"]*\b{kind}: var\(--{color}\)', svg)
    return max(found, key=len)


def points(of: str) -> list[tuple[float, float]]:
    numbers = [float(each) for each in re.findall(r"-?[\d.]+", of)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def longer(of: AccountReport, times: int) -> AccountReport:
    length = of.curve[-1].at - of.curve[0].at + timedelta(days=1)
    curve = tuple(replace(each, at=each.at + turn * length) for turn in range(times) for each in of.curve)
    return replace(of, curve=curve)


def test_picture_shows_the_account_and_what_it_is_compared_with() -> None:
    svg = drawn(account(LONG))
    assert legend(svg) == ["sandbox account", "SPY", "SPY at 4%", "cash"]
    assert f"sandbox account {100 * (account(LONG).curve[-1].index - 1):+.2f}%" in texts(svg)
    assert "#" not in svg, "each color is one of the page"


@pytest.mark.parametrize(("size", "name"), [(WIDE, "wide"), (NARROW, "narrow")])
def test_long_curve_is_thinned_but_keeps_its_ends_and_its_lowest_point(size: tuple[float, float], name: str) -> None:
    long = longer(account(LONG), 20)
    found = curve([long])
    assert found
    shown = points(path(str(found[name]), "account0", is_area=True))[1:-1]
    assert len(shown) <= POINTS_PER_INCH * size[0]
    lowest = min(long.curve, key=lambda point: point.drawdown)
    across = (lowest.at - long.curve[0].at) / (long.curve[-1].at - long.curve[0].at)
    deepest = max(shown, key=lambda point: point[1])
    assert (deepest[0] - shown[0][0]) / (shown[-1][0] - shown[0][0]) == pytest.approx(across, abs=0.005)


def test_line_is_broken_where_nothing_is_known_and_missing_if_nothing_ever_is() -> None:
    of = account(LONG)
    holed = replace(of, curve=(*of.curve[:10], replace(of.curve[10], benchmark_leveled=None), *of.curve[11:]))
    assert (path(drawn(holed), "account0").count("M"), path(drawn(holed), "leveled").count("M")) == (1, 2)
    unknown = replace(of, curve=tuple(replace(each, benchmark=None) for each in of.curve))
    assert "SPY" not in legend(drawn(unknown))


def test_accounts_side_by_side_share_one_benchmark_and_keep_any_name() -> None:
    names = ("_$one$", "<two> d=1.2345")
    svg = drawn(*(account(LONG, seed, name) for seed, name in enumerate(names)), new_account())
    assert legend(svg) == ["_$one$", "&lt;two&gt; d=1.2345", "SPY", "cash"]


def test_account_without_a_drawdown_has_only_zero_marked_below() -> None:
    shown = texts(drawn(account(FEW)))
    assert shown[shown.index("drawdown") - 1] == "0%"


def test_accounts_without_two_points_have_no_picture() -> None:
    assert curve([new_account()]) is None
