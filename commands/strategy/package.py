"""The package that `tradebot strategy new` writes: one strategy, its test, and how to install it."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from string import Template

PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

# tradebot itself is not among the dependencies: this package is installed beside it, never instead of it.
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

A strategy for tradebot. It sees the flow facts of each symbol and proposes candidates; the bot's gates, sizes, limits
and exits do the rest, as for every strategy.

1. Install it into tradebot's environment: `pip install --no-build-isolation --no-deps -e .`
2. Turn it on in the bot's `tradebot.yaml`: `strategies: {$name: {lookback_s: 1800}}`
   (beside the built-in one; `strategies: {flow: null, $name: {}}` runs it alone)
3. Look: `tradebot strategy list`, then `tradebot score`, then `tradebot trade-once --dry-run`

Its test: `python -m pytest tests`

What holds for a strategy:

- `propose` is asked anew in a process of its own each time: nothing is remembered, nothing printed is shown.
- It can read Python and the packages beside it, and write to its current folder, which is empty each time. It has no
  network, no other files of yours and no environment variable with a key: settings go under `strategies:`. It may use
  threads and starts no other process. `tradebot strategy list` says if this machine can't hold it to that.
- One candidate a symbol at most, of the universe; score within -1 to 1, positive for a buy; coverage within 0 to 1.
- Whatever breaks these rules, raises, or takes longer than `plugins.timeout_s` loses that cycle, and its reason is
  recorded: `tradebot why-no-orders` tells it.
"""

PACKAGE = '"""The $name strategy."""\n'

STRATEGY = '''\
"""The $name strategy: buy where the premium of recent alerts leans bullish, sell where it leans bearish."""

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
        """Return the candidates, refused ones included: a refusal with its numbers is what explains."""
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
        """Decline a symbol with too little premium to tell anything."""
        least = self._settings.min_premium_usd
        if gross < least:
            return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, gross, least)
        return Decision(Gate.STRATEGY, Verdict.PASS, None, gross, least)
'''

TEST = '''\
"""The $name strategy: what it makes of flow, and that the bot takes what it answers."""

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
    """Return the one candidate that is made of some alerts, after the check that the bot makes."""
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
    """Return the class name of a strategy; its suffix keeps it apart from every name that the module imports."""
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
