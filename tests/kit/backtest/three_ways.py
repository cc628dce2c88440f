"""The same day three ways: a backtest, `demo` and `serve`, the last two over HTTP; and what each leaves to compare."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import PropertyMock, patch

import pytest
import requests
from msgspec import Struct

from papervenue import process
from papervenue.events import Event
from papervenue.state import read_market
from papervenue.times import rfc3339
from tests.kit.bot.folder import KEYS, log, typed
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state.state_folder import open_state
from tradebot.app.loading import Options, load_for
from tradebot.app.settings import Settings
from tradebot.app.wiring import App, open_app
from tradebot.lab.backtest.historical_flow import PastFlow
from tradebot.lab.backtest.setup import assemble, loaded_strategies
from tradebot.lab.driver.driver import Driver, DriverTerms
from tradebot.lab.parity import parity_of
from tradebot.model.parity import DayParity
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.ports.stores import Ledger
from tradebot.ports.strategy import Strategy

FAST = "1000000"
JUDGED = (Job.EVALUATE_EXITS, Job.TRADE_ONCE)
TOLD = (
    "event",
    "at",
    "order_id",
    "client_order_id",
    "status",
    "filled_qty",
    "fill_qty",
    "price",
    "cash",
    "activity_id",
)


class Way(Struct, frozen=True):
    """What one way of playing a day leaves: the judge's log, the books, every decision, and its equity at the close."""

    log: object
    intents: object
    orders: object
    fills: object
    state: object
    peak: object
    decisions: object
    closing: Decimal | None
    flow: object


class PlayedDay(Struct, frozen=True):
    """A day to play: a configuration, the options of `init` and `demo` that say which market, and who trades.

    Without strategies of its own it is traded by those that are configured, with the flow that they need.
    """

    configuration: str
    market: Sequence[str]
    strategies: Sequence[Strategy] = ()

    @contextmanager
    def in_force(self, folder: Path) -> Iterator[None]:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "day.yaml"
        file.write_text(self.configuration)
        ours = {"strategies": self.strategies, "needed_facts": {}}
        replaced = {name: PropertyMock(return_value=value) for name, value in ours.items()}
        with (
            patch.dict(os.environ, TRADEBOT_CONFIG=str(file)),
            patch.multiple(App, **replaced) if self.strategies else nullcontext(),
        ):
            yield

    def by_demo(self, folder: Path, capture: pytest.CaptureFixture[str]) -> Way:
        place = ("--state-dir", str(folder / "state"))
        with self.in_force(folder):
            said = typed(capture, "demo", *self.market, *place)
            assert said.code == 0, said.err
            return _left(folder / "state")

    def by_serve(self, folder: Path, capture: pytest.CaptureFixture[str]) -> Way:
        place = ("--state-dir", str(folder / "state"))
        with self.in_force(folder):
            for verb in (("init", *self.market), ("serve", "--speed", FAST), ("reconcile",)):
                said = typed(capture, *verb, *place)
                assert said.code == 0, said.err + said.out
            return _left(folder / "state")

    @contextmanager
    def _traders(self, settings: Settings, state: Path) -> Iterator[Sequence[Strategy]]:
        if self.strategies:
            yield self.strategies
        else:
            with loaded_strategies(settings, state, os.environ) as configured:
                yield configured

    def beside(self, folder: Path) -> DayParity:
        """Return the session that `demo` or `serve` has left in a folder beside its backtest."""
        place = str(folder / "state")
        with self.in_force(folder), open_app(Options(place), os.environ) as bot:
            return parity_of(bot, bot.passes.passes()[-1].session, lambda done, total: None)

    def by_backtest(self, folder: Path, *, every_pass: bool = True, again: bool = False) -> Way:
        """Play it in this process, on the market and under the settings of a folder that `demo` or `serve` has left.

        With `again`, nothing is fetched: what was known then is what was fetched then.
        """
        state, lines = folder / "state", list[Event]()
        with self.in_force(folder):
            settings = load_for(open_state(state), Options(str(state)), os.environ).settings
        facts, spec = MemoryFacts(), read_market(state / "exchange").spec
        with self._traders(settings, state) as traders:
            flow = PastFlow(state) if again else None
            with_flow = not self.strategies
            made = assemble(settings, spec, traders, facts, with_flow=with_flow, flow_from=flow, log=lines.append)
            terms = DriverTerms(settings.timetable, every_pass=every_pass, before_asking=made.before_asking)
            driver = Driver(made.world, made.advance, made.ahead, terms)
            driver.reconcile()
            ends = list(map(driver.play, made.sessions))
            driver.reconcile()
        told = [{"event": line.name, "at": rfc3339(line.at_us), **line.fields} for line in lines]
        return _way(told, made.ledger, facts, ends[-1].equity)


def _left(state: Path) -> Way:
    facts = SqliteFacts(state, MemoryEvents(), datetime.now(UTC))
    with closing(facts), closing(SqliteLedger.open(state, read_only=True)) as ledger:
        try:
            url = process.ensure_running(state / "exchange").url
            account = requests.get(f"{url}/v2/account", headers=KEYS, timeout=10).json()
            return _way(log(url), ledger, facts, Decimal(account["last_equity"]))
        finally:
            process.stop(state / "exchange")


def _way(
    told: Sequence[Mapping[str, Any]], ledger: Ledger, facts: MemoryFacts | SqliteFacts, closing: Decimal | None
) -> Way:
    passes = (cycle for job in JUDGED for cycle in facts.cycles(job=job))
    return Way(
        log=[tuple(line.get(name) for name in TOLD) for line in told if "order_id" in line or "activity_id" in line],
        intents=ledger.intents(),
        orders=ledger.orders(),
        fills=ledger.fills(),
        state=ledger.trading_state().state,
        peak=ledger.equity_peak(),
        decisions={one.id: (one.at, one.candidates, one.equity, one.marks, one.last_close) for one in passes},
        closing=closing,
        flow=[replace(one, findings=(), nulls=None) for one in facts.intakes(datetime.min.replace(tzinfo=UTC))],
    )
