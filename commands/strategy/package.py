"""The package that `tradebot strategy new` writes: one strategy, its test, and how to install it."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from string import Template

PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

# tradebot isn't a dependency, so that installing this package never replaces it.
[project]
name = "tradebot-$dashed"
version = "0.1.0"
description = "The $name strategy for tradebot."
readme = "README.md"
requires-python = ">=3.11"

[project.entry-points."tradebot.strategies"]
$name = "tradebot_$name.strategy:$title"

[tool.hatch.build.targets.wheel]
packages = ["tradebot_$name"]
dev-mode-dirs = ["."]
"""

README = """\
# tradebot-$dashed

A strategy for tradebot. It reads the flow facts of each symbol and proposes candidates. The bot's gates, sizes, limits
and exits do the rest.

1. Install it into tradebot's environment: `pip install --no-build-isolation --no-deps -e .`
2. Turn it on in the bot's `tradebot.yaml`: `strategies: {$name: {lookback_s: 1800}}`
   (it runs together with the built-in one; `strategies: {flow: null, $name: {}}` runs it alone)
3. Try it: `tradebot strategy list`, then `tradebot score`, then `tradebot trade-once --dry-run`

Run its test with `python -m pytest tests`.

Rules for a strategy:

- `propose` runs in a new process each time. Nothing is remembered, and what it prints isn't shown.
- It can read Python and the installed packages, and write to its current folder, which is empty each time. It can't
  use the network, read your other files, or see environment variables with keys; its settings go under `strategies:`.
  It can use threads, but can't start other processes. `tradebot strategy list` says if this machine can't enforce that.
- At most one candidate per symbol of the universe. Score is from -1 to 1 (positive for a buy), coverage from 0 to 1.
- If it breaks these rules, raises an exception, or takes longer than `plugins.timeout_s`, its candidates are dropped
  for that pass. `tradebot why-no-orders` shows the recorded reason.
"""

PACKAGE = '"""The $name strategy."""\n'

STRATEGY = '''\
"""The $name strategy: buy if the premium of recent alerts is mostly bullish, sell if it is mostly bearish."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.instrument import Instrument
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.ports import StrategyDesk


class Settings(BaseModel):
    """The settings under `strategies: {$name: ...}` in the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lookback_s: int = Field(1800, gt=0)
    min_premium_usd: float = Field(100_000, gt=0)


class $title:
    """Propose one candidate for each symbol of the universe."""

    name = "$name"

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = Settings.model_validate(settings)

    def propose(self, desk: StrategyDesk) -> Sequence[Candidate]:
        """Return the candidates, including declined ones, so that the reason and its numbers are recorded."""
        return [self._candidate(desk, symbol) for symbol in desk.universe]

    def _candidate(self, desk: StrategyDesk, symbol: str) -> Candidate:
        facts = desk.facts.get(symbol) or SymbolFacts(symbol)
        since = desk.now - timedelta(seconds=self._settings.lookback_s)
        alerts = [alert for alert in facts.alerts if alert.at > since]
        net = float(sum(alert.net_premium for alert in alerts))
        gross = float(sum(alert.ask_premium + alert.bid_premium for alert in alerts))
        score = net / gross if gross else 0.0
        return Candidate(
            strategy=self.name,
            instrument=Instrument(symbol),
            side=Side.BUY if score >= 0 else Side.SELL,
            purpose=Purpose.OPEN,
            at=desk.now,
            score=score,
            coverage=1.0 if facts.has_usable_alerts else 0.0,
            decisions=(self._filter(gross),),
        )

    def _filter(self, gross: float) -> Decision:
        """Decline a symbol with too little premium."""
        least = self._settings.min_premium_usd
        if gross < least:
            return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, gross, least)
        return Decision(Gate.STRATEGY, Verdict.PASS, None, gross, least)
'''

TEST = '''\
"""Tests of the $name strategy: its scores, and that the bot accepts its answer."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tradebot.model.candidate import Candidate, Side
from tradebot.model.decision import Decision
from tradebot.model.desk import FlowDesk
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts, TideFacts
from tradebot.desk.proposals import checked
from tradebot_$name.strategy import $title

NOW = datetime(2026, 11, 16, 16, 0, tzinfo=UTC)


def alert(right: Right, premium: int) -> FlowAlert:
    """Return a minute-old alert that was bought at the ask."""
    return FlowAlert(
        id="one",
        symbol="AAPL",
        at=NOW - timedelta(minutes=1),
        right=right,
        strike=Decimal(100),
        expiry=date(2026, 12, 18),
        premium=Decimal(premium),
        ask_premium=Decimal(premium),
        bid_premium=Decimal(0),
        volume=1000,
        open_interest=500,
        has_sweep=True,
        has_floor=False,
        has_multileg=False,
    )


def proposed(*alerts: FlowAlert) -> Candidate:
    """Return the candidate that some alerts lead to, checked as the bot checks it."""
    facts = {"AAPL": SymbolFacts("AAPL", alerts=alerts, alerts_fetched_at=NOW, received=len(alerts))}
    desk = FlowDesk(NOW, ("AAPL",), facts, TideFacts())
    found = checked("$name", desk, $title({}).propose(desk))
    assert not isinstance(found, Decision), found
    (candidate,) = found
    return candidate


def test_bought_calls_make_a_buy() -> None:
    candidate = proposed(alert(Right.CALL, 500_000))
    assert (candidate.side, candidate.score, candidate.decisions[0].passed) == (Side.BUY, 1.0, True)


def test_bought_puts_make_a_sell() -> None:
    candidate = proposed(alert(Right.PUT, 500_000))
    assert (candidate.side, candidate.score) == (Side.SELL, -1.0)


def test_little_premium_is_declined_with_its_numbers() -> None:
    (declined,) = proposed(alert(Right.CALL, 50_000)).decisions
    assert (declined.reason, declined.observed, declined.limit) == (Reason.STRATEGY_DECLINED, 50_000, 100_000)
'''


def title_of(name: str) -> str:
    """Return the class name of a strategy; the suffix keeps it from hiding a name that the module imports."""
    return "".join(part.capitalize() for part in name.split("_")) + "Strategy"


def package_files(name: str) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield each file of a new strategy's package, relative to its folder, with its text."""
    words = {"name": name, "dashed": name.replace("_", "-"), "title": title_of(name)}
    places = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        f"tradebot_{name}/__init__.py": PACKAGE,
        f"tradebot_{name}/strategy.py": STRATEGY,
        f"tests/test_{name}.py": TEST,
    }
    for place, text in places.items():
        yield PurePosixPath(place), Template(text).substitute(words)
