"""`tradebot compare`: what differs about runs first, then their figures side by side."""

import re
from pathlib import Path

import pytest

from commands.compare.report import ComparedRun, FigureRow, _cautions, _lacking
from commands.report.report_text import number
from tests.kit.backtest.playing import configured, traded_by
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import typed
from tradebot.errors import ExitCode
from tradebot.lab.performance.report import Figure, FigureUnit
from tradebot.lab.performance.return_figures import RETURNS
from tradebot.model.struct_tools import replace


def test_runs_are_side_by_side_after_their_differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--state-dir", str(tmp_path / "state"))
    play = ("backtest", "--sessions", "1", "--from", "2025-03-03", "--config", str(configured(tmp_path)), *place)
    with traded_by():
        assert typed(capsys, *play, "--name", "cheap").code == 0
        assert typed(capsys, *play, "--name", "dear", "--cost", "commission_bps=20").code == 0
    said = typed(capsys, "compare", "cheap", "dear", *place)
    assert said.code == 0
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert lines[0].startswith("A  ")
    assert lines[0].endswith("closed trades") or lines[0].endswith("closed trade")
    assert "cheap (backtest): 2025-03-03 to 2025-03-03, 1 session" in lines[0]
    assert "Settings that differ" in lines
    assert "  market.costs.commission_bps  -  20" in lines
    assert any(line.startswith("  Maximum drawdown, by session closes  ") for line in lines)
    data = typed(capsys, "compare", "cheap", "dear", *place, "--json").data
    assert [setting["name"] for setting in data["settings"]] == ["market.costs.commission_bps"]
    fees = next(row["figures"] for row in data["rows"] if row["name"] == "fees")
    assert fees[0]["value"] == 0
    assert fees[1]["value"] > 0
    assert any("may well be chance" in line for line in data["cautions"])
    pictures = (tmp_path / "curves.svg", tmp_path / "compared.html")
    drawn = typed(capsys, "compare", "cheap", "dear", *place, "--plot", str(pictures[0]), "--html", str(pictures[1]))
    assert drawn.out == said.out + f"Written: {pictures[0]}\nWritten: {pictures[1]}\n"
    texts = re.findall(r">([^<>]+)</text>", pictures[0].read_text())
    assert {"A cheap", "B dear", "drawdown"} <= {text.rsplit(" ", 1)[0] for text in texts}
    page = pictures[1].read_text()
    assert str(tmp_path) not in page
    assert (
        '<h1><span class="swatch account0">A cheap</span> and <span class="swatch account1">B dear</span></h1>' in page
    )
    assert page.split("<figure")[1].count("stroke: var(--account") == 12, (
        "growth, drawdown and legend of each curve, wide and narrow"
    )
    assert '<th scope="row">market.costs.commission_bps</th><td class="words" data-label="A cheap">–</td>' in page
    assert "a difference may well be chance" in page
    with traded_by():
        assert typed(capsys, *play, "--name", "spelled", "--cash", "100000", "--cost", "volume_share=0.10").code == 0
    same = typed(capsys, "compare", "cheap", str(tmp_path / "state" / "backtests" / "spelled"), *place)
    assert "Their settings, markets and versions are the same." in same.out


def test_what_only_one_run_lacks_names_that_run() -> None:
    year = Figure("cagr", "CAGR", FigureUnit.YEARLY, 0.1, 252, 252, RETURNS)
    few = replace(year, value=None, observations=1)
    assert [*_lacking("AB", FigureRow("cagr", (few, year)))] == ["CAGR of A: 1 of 252 session returns"]
    assert [*_lacking("AB", FigureRow("cagr", (few, few)))] == ["CAGR: 1 of 252 session returns"]
    more = replace(few, observations=2)
    assert [*_lacking("ABC", FigureRow("cagr", (few, more, few)))] == [
        "CAGR of A and C: 1 of 252 session returns", "CAGR of B: 2 of 252 session returns"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("closed", "caution"),
    [
        ((0, 40), ["A closed no trades, so a difference may well be chance."]),
        ((40, 1), ["B closed only 1 trade, so a difference may well be chance."]),
        ((12, 12), ["A and B closed only 12 trades, so a difference may well be chance."]),
        ((30, 40), []),
    ],
)
def test_caution_about_chance_names_the_run_with_the_fewest_trades(closed: tuple[int, int], caution: list[str]) -> None:
    assert [*_cautions([ComparedRun("x", "backtest", None, None, 1, count) for count in closed])] == caution


def test_drawdown_is_of_session_closes_and_has_two_decimals() -> None:
    assert number(-0.0011, FigureUnit.FRACTION, "max_drawdown") == "-0.11%"
    assert number(-0.00001, FigureUnit.FRACTION, "max_drawdown") == "0.00%"
    assert number(0.5, FigureUnit.FRACTION, "win_rate") == "50.0%"


def test_compare_refuses_a_single_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refuses(typed(capsys, "compare", str(tmp_path)), ExitCode.USAGE, "compare takes at least two folders, not 1")


def test_too_many_curves_and_a_page_to_no_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = typed(capsys, "compare", *"abcdefg", "--html", "page.html")
    assert said.code == ExitCode.USAGE
    assert said.err == "error: a chart can show at most 6 curves, not 7\n  next: name fewer runs\n"
    said = typed(capsys, "compare", "a", "b", "--html", "-")
    assert (said.code, said.err.splitlines()[0]) == (ExitCode.USAGE, "error: a page can't go to stdout")
    said = typed(capsys, "compare", "a", "b", "--html", str(tmp_path))
    assert (said.code, said.err.splitlines()[0]) == (ExitCode.USAGE, f"error: {tmp_path} is a folder")


def test_compare_names_a_missing_run_and_the_existing_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "backtests" / "slow").mkdir(parents=True)
    (tmp_path / "backtests" / "slow" / "result.json").touch()
    said = typed(capsys, "compare", "slow", "slwo", "--state-dir", str(tmp_path))
    lacking = f"error: there is no folder slwo, and no run of that name in {tmp_path}/backtests"
    assert (said.code, said.err.splitlines()) == (ExitCode.USAGE, [lacking, "  next: name one of slow"])
