"""A backtest of a day is the bot on that day: `demo` and `serve`, over HTTP, do the same to the cent."""

from pathlib import Path

import hypothesis
import pytest

from tests.backtest.drawn import Whims
from tests.backtest.three_ways import Day

SOAK = hypothesis.settings().max_examples > 1000
CONFIGURATION = """
universe: [AAPL, MSFT]
limits: {{cooldown_s: 60}}
exits:
  stop_loss_fraction: 0.004
  trailing_arm_fraction: 0.002
  trailing_stop_fraction: 0.002
  protection: {protection}
sandbox: {{fill: {{model: {model}}}}}
timetable:
  fetch-flow: every 10m from open+2m until open+80m
  score: every 30m from open+2m until open+80m
  evaluate-exits: every 3m from open+1m until open+90m
  trade-once: every 10m from open+2m until open+80m
  reconcile: every 30m from open+1m until open+90m
"""
MARKET = ("--sessions", "1", "--start", "2025-03-03")


@pytest.mark.parametrize(("model", "protection"), [("next-bar", "venue"), ("paper", "bot")])
def test_a_backtest_a_demo_and_serve_do_the_same_on_the_same_day(
    model: str, protection: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = Day(CONFIGURATION.format(model=model, protection=protection), (*MARKET, "--seed", "3"), [Whims(3, 0.5)])
    demo = day.by_demo(tmp_path / "demo", capsys)
    backtest = day.by_backtest(tmp_path / "demo")
    assert demo.fills, "nothing was traded"
    assert backtest == demo
    assert day.by_serve(tmp_path / "serve", capsys) == demo
