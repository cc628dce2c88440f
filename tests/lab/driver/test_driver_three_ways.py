"""A backtest of a day is the bot on that day: `demo` and `serve`, over HTTP, do the same to the cent."""

import random
from pathlib import Path

import pytest

from papervenue.market.spec import MODELS
from tests.kit.backtest.drawn import Whims
from tests.kit.backtest.three_ways import PlayedDay, Way
from tests.suite.tiers import drawn, in_campaigns
from tradebot.model.struct_tools import replace

CONFIGURATION = """
universe: [AAPL, MSFT]
limits: {{cooldown_s: 60}}
exits:
  stop_loss_fraction: {stop}
  trailing_arm_fraction: {trail}
  trailing_stop_fraction: {trail}
  protection: {protection}
sandbox: {{fill: {{model: {model}, slippage_bps: {slippage}}}, costs: {{commission_bps: {commission}}}}}
timetable:
  fetch-flow: every 10m from open+2m until open+50m
  score: every 30m from open+2m until open+50m
  evaluate-exits: {looks}
  trade-once: {entries}
  reconcile: every 30m from open+1m until open+60m
"""
PROTECTIONS = ("venue", "bot", "both")
LOOKS = ("every 4m from open+1m until open+60m", "every 7m from open+3m until open+60m", "every 15m from open+1m")
ENTRIES = ("every 8m from open+2m until open+50m", "every 15m from open+6m until open+45m", "at open+20m, at open+40m")
CLOCKS = ("", "", "every 15m", "first session of week at open+20m")
DAYS = drawn("days", [0], range(20), 6)

pytestmark = pytest.mark.sampled


def drawn_day(number: int, model: str | None = None) -> PlayedDay:
    """Return the day with a number; one of a fill model has each way to protect a position in turn."""
    chance = random.Random(number)  # noqa: S311
    traders = Whims(chance.randrange(1000), 0.6, chance.choice(CLOCKS), chance.random() < 0.4, declines=0.5)
    configuration = CONFIGURATION.format(
        stop=chance.choice(("0.003", "0.01")),
        trail=chance.choice(("0.002", "0.004")),
        protection=chance.choice(PROTECTIONS),
        model=model or chance.choice(MODELS),
        slippage=chance.choice((0, 3)),
        commission=chance.choice((0, 2)),
        looks=chance.choice(LOOKS),
        entries=chance.choice(ENTRIES),
    )
    market = ("--sessions", "1", "--start", "2025-03-03", "--seed", str(chance.randrange(50)))
    return PlayedDay(configuration, market, [traders])


def without_decisions(way: Way) -> Way:
    """Return what is the same although passes were left out that would have changed nothing."""
    return replace(way, decisions=None)


@pytest.mark.campaign
@pytest.mark.parametrize("model", MODELS)
def test_backtest_demo_and_serve_do_the_same(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = drawn_day(5, model)
    served = day.by_serve(tmp_path / "serve", capsys)
    assert served.fills, "nothing was traded"
    assert day.by_backtest(tmp_path / "serve") == served
    if in_campaigns() or model == MODELS[0]:
        assert day.by_demo(tmp_path / "demo", capsys) == served


@pytest.mark.parametrize("number", DAYS)
def test_drawn_day_ends_as_its_demo(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = drawn_day(number)
    demo = day.by_demo(tmp_path / "demo", capsys)
    assert day.by_backtest(tmp_path / "demo") == demo
    quick = day.by_backtest(tmp_path / "demo", every_pass=False)
    assert without_decisions(quick) == without_decisions(demo)
    again = day.beside(tmp_path / "demo")
    assert (again.differences, again.passes) == ((), len(demo.decisions))  # type: ignore[arg-type]


FLOW = """
universe: [AAPL, MSFT, NVDA]
limits: {cooldown_s: 60}
strategies: {flow: {limits: {min_score: 0.01, min_coverage: 0.1, max_symbol_fraction: 0.3}}}
exits: {stop_loss_fraction: 0.004, trailing_arm_fraction: 0.002, trailing_stop_fraction: 0.002}
timetable:
  fetch-flow: every 10m from open+2m until open+70m
  score: every 30m from open+2m until open+70m
  evaluate-exits: every 4m from open+1m until open+70m
  trade-once: every 10m from open+2m until open+70m
  reconcile: every 30m from open+1m until open+70m
"""


def test_day_of_flow_is_the_same_in_backtest_demo_and_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = PlayedDay(FLOW, ("--sessions", "1", "--start", "2025-03-03", "--seed", "5"))
    demo = day.by_demo(tmp_path / "demo", capsys)
    assert demo.fills, "nothing was traded"
    assert day.by_backtest(tmp_path / "demo") == demo
    quick = day.by_backtest(tmp_path / "demo", every_pass=False)
    assert without_decisions(quick) == without_decisions(demo)
    again = day.by_backtest(tmp_path / "demo", again=True)
    assert again == demo, "what was fetched then leads to the same as if it is fetched again"
    if in_campaigns():
        assert day.by_serve(tmp_path / "serve", capsys) == demo
