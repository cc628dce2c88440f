"""The picture of the curve in a page: few points, gaps that stay gaps, and names that stay as they are."""

import re
from datetime import timedelta

import pytest

from commands.report.chart import NARROW, POINTS_PER_INCH, WIDE, curve
from tests.kit.trades import account, new_account
from tradebot.lab.performance.report import AccountReport
from tradebot.model.struct_tools import replace

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
    assert "SPY" not in legend(drawn(replace(of, curve=tuple(replace(each, benchmark=None) for each in of.curve))))


def test_accounts_side_by_side_share_one_benchmark_and_keep_any_name() -> None:
    names = ("_$one$", "<two> d=1.2345")
    svg = drawn(*(account(LONG, seed, name) for seed, name in enumerate(names)), new_account())
    assert legend(svg) == ["_$one$", "&lt;two&gt; d=1.2345", "SPY", "cash"]


def test_accounts_without_two_points_have_no_picture() -> None:
    assert curve([new_account()]) is None


def test_deepest_drawdowns_are_shaded_on_the_curve_of_one_account() -> None:
    of = account(LONG)
    shades = re.findall(r'<path d="([^"]+)" style="fill: var\(--quiet\); fill-opacity: 0.15"', drawn(of))
    assert len(shades) == len(of.drawdowns) == 5
    across = [place for place, _ in points(path(drawn(of), "account0"))]
    first, length = of.curve[0].at, of.curve[-1].at - of.curve[0].at
    at = {p.session: across[0] + (across[-1] - across[0]) * ((p.at - first) / length) for p in of.curve}
    for shade, fall in zip(shades, of.drawdowns, strict=True):
        ends = sorted({place for place, _ in points(shade)})
        assert ends == pytest.approx([at[fall.from_session], at[fall.recovered or of.curve[-1].session]], abs=0.2)
    assert "fill-opacity: 0.15" not in drawn(of, account(LONG, 2, "other"))


@pytest.mark.parametrize(("times", "label"), [(2.9, "growth"), (3.1, "growth, log scale")])
def test_growth_is_on_a_log_scale_once_its_highest_is_three_times_its_lowest(times: float, label: str) -> None:
    of = account(FEW)
    values = (1.0, 1.2, 1.3, times)
    grown = replace(of, curve=tuple(replace(p, index=v, benchmark=None) for p, v in zip(of.curve, values, strict=True)))
    shown = texts(drawn(grown))
    assert label in shown
    assert ("+50%" in shown, "+100%" in shown) == (True, True)
