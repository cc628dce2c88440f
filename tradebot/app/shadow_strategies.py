"""Run strategies in shadow: each decides on the bot's own facts, with simulated fills and separate books.

Each such strategy is a separate bot. Its folder is inside the main bot's, its configuration follows the main bot's, and
its account starts with the main bot's equity at that time. The same passes run on it. Only its connections differ, so
its orders never reach a broker.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from datetime import date, timedelta
from functools import cached_property
from shutil import rmtree
from typing import TYPE_CHECKING, Any

import yaml

from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.state.evidence import SHADOW
from tradebot.adapters.state.folder_identity import mark_again
from tradebot.adapters.state.state_folder import MARKER_COPY, SHADOWS, StateFolder, cannot_write, write_durably
from tradebot.app.baseline import effective
from tradebot.app.loading import USER_FILE
from tradebot.app.settings import PLANNING, Loaded, load
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.model.record import Job
from tradebot.model.trading import Baseline, Permission, RungReached
from tradebot.model.venue import Settlement
from tradebot.strategies.settings import UNTIL_PROMOTED
from tradebot.venues.simulated.account import ZERO, SimulatedAccount, write_account
from tradebot.venues.simulated.venue import Assumed, SimulatedVenue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tradebot.adapters.bars.read_through import StoredBars
    from tradebot.adapters.bars.store import CorporateAction
    from tradebot.adapters.facts.facts import SqliteFacts
    from tradebot.adapters.time.clock import LockStepClock
    from tradebot.ports.broker import OrderPort
    from tradebot.venues.door import Reader

JOBS = frozenset(Job)
BY = "shadow"
"""The user who creates its folder and accepts its configuration, which follows the bot's."""


def shadow_reasons(app: App) -> Mapping[str, str]:
    """Return why each strategy in shadow is there: because of its settings, or because it isn't promoted yet."""
    chosen = app.settings.strategies.in_shadow()
    strategies = dict.fromkeys(sorted(chosen), "shadow: true")
    strategies |= {name: f"{UNTIL_PROMOTED}: {rung.found}" for name, rung in sorted(app.awaiting_promotion.items())}
    if is_simulated(app):
        sections = app.settings.strategies.sections()
        climbed = {
            name: rung for name, rung in (app.reached_rungs or {}).items() if name in sections and not rung.share
        }
        strategies |= {name: rung.found for name, rung in climbed.items() if name not in chosen}
    return strategies


def is_simulated(app: App) -> bool:
    """Return True if fills can be simulated at the bot's venue.

    They can if the account pays for fills in full, or if the venue's contracts expire.
    """
    return app.settings.capabilities.settlement is Settlement.PAID or app.driver.months is not None


def count_open_positions(app: App, name: str) -> int:
    """Return how many positions of a strategy are open at the broker; it goes into shadow only once there are none."""
    return sum(
        position.strategy == name and position.quantity != 0 for position in app.books.totals().positions.values()
    )


def shadow_folder(app: App, name: str) -> Path:
    return app.folder.path / SHADOWS / name


def values_of(app: App, name: str) -> dict[str, Any]:
    """Return the configuration of a strategy in shadow: the main bot's, with only this strategy and without
    approvals.
    """
    values = {key: value for key, value in effective(app.settings).items() if key not in ("mode", "shadow")}
    own = {key: value for key, value in values["strategies"][name].items() if key not in ("shadow", "approval")}
    section = {**own, "allotment_fraction": str(app.settings.strategies.allotments()[name])}
    # Those that are off too: the file of a venue may have them.
    strategies = {**dict.fromkeys(values["strategies"]), name: section}
    # Jobs that only a bot with a broker needs aren't due here; `tradebot shadow` runs the others.
    timetable = {line: when if line in JOBS else None for line, when in values["timetable"].items()}
    asks_nobody = {**values["approval"], "wait_s": None}
    return {**values, "strategies": strategies, "approval": asks_nobody, "timetable": timetable}


@contextmanager
def opened_in_shadow(app: App, name: str) -> Iterator[ShadowApp]:
    """Open a strategy's shadow bot, creating it if missing, with its configuration updated from the main bot's."""
    if not is_simulated(app):
        raise OperatorError(
            f"positions at {app.settings.capabilities.title} pay funding, which shadow doesn't simulate",
            f"set strategies.{name}.shadow: false, or run the strategy in a bot of its own with shadow: true",
        )
    path, values = shadow_folder(app, name), values_of(app, name)
    loaded = load(None, {}, {"mode": app.folder.mode}, PLANNING, values=values)
    if not state_folder.has_marker(path) and (path / MARKER_COPY).exists():
        # The marker is written last, so if it is missing, the rest may be incomplete.
        mark_again(path, path / MARKER_COPY)
    folder = state_folder.open_state(path) if state_folder.has_marker(path) else _make_folder(app, path, name, loaded)
    bot = ShadowApp(folder, loaded, app)
    try:
        _follow(bot, values)
        yield bot
    finally:
        bot.close()


def _make_folder(app: App, path: Path, name: str, loaded: Loaded) -> StateFolder:
    from tradebot.adapters.ledger.ledger import SqliteLedger

    # A folder left by a kill has no content yet.
    rmtree(path, ignore_errors=True)
    number, now = f"SHADOW-{name}", app.reader.clock().now
    # The first pass's fills must be later than the books.
    cash, opened = app.reader.account().equity, now - timedelta(microseconds=1)
    state_folder.prepare(path)
    write_account(path, SimulatedAccount(number, cash, cash, cash, now, app.day.date_of(now)))
    with closing(SqliteLedger.create(path, number, now)) as books:
        books.baselines.approve(Baseline(effective(loaded.settings), BY, now))
        books.open_books(cash, opened, app.settings.capabilities.settlement)
    halt_switch.arm(path, BY, now)
    return state_folder.create(path, loaded.settings.mode, number, SHADOW, now, loaded.settings.venue)


def _follow(bot: ShadowApp, values: Mapping[str, Any]) -> None:
    """Write the configuration to the folder and accept it in its books, if it changed."""
    file = bot.folder.path / USER_FILE
    text = "# Written by tradebot shadow, which follows the configuration of the bot.\n"
    text += yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=120)
    try:
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            write_durably(file, text)
    except OSError as error:
        raise cannot_write(bot.folder.path, error) from error
    accepted = bot.ledger.baselines.last()
    if accepted is None or accepted.values != effective(bot.settings):
        bot.ledger.baselines.approve(Baseline(effective(bot.settings), BY, bot.now()))


class ShadowApp(App):
    """A shadow strategy's bot, with the main bot's prices, sessions, bars and facts."""

    timed = False

    def __init__(self, folder: StateFolder, loaded: Loaded, of: App) -> None:
        # Its own passes treat it like any other folder.
        super().__init__(folder._replace(kind="user"), loaded, of.environ)
        self._of = of
        self.let_pass, self.stamp_time = of.let_pass, of.stamp_time

    @property
    def permission(self) -> Permission:
        """Return a permission without blocks, because this bot's orders can't reach a broker."""
        return Permission()

    @property
    def reached_rungs(self) -> Mapping[str, RungReached] | None:
        """Return None: no real money is at stake."""
        return None

    @property
    def awaiting_promotion(self) -> Mapping[str, RungReached]:
        """Return an empty mapping: in this bot's own configuration, the strategy isn't in shadow."""
        return {}

    @cached_property
    def venue(self) -> SimulatedVenue:
        """Return the simulated venue, which uses the real venue's prices."""
        (name,) = self.settings.strategies.sections()
        costs, slippage = self.settings.costs_of(name), self.settings.sandbox.fill.slippage_bps or ZERO
        assumed = Assumed(costs.slippage_bps, costs.taker_bps) if costs else Assumed(slippage, ZERO)
        return SimulatedVenue(self.folder.path, self._of.reader, self._of.bars, self._actions, assumed)

    def _actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        return self._of.driver.bars(self._of.connection, self._of.drift).actions(symbols, first, last)

    @property
    def reader(self) -> Reader:
        """Return the simulated venue: this bot never connects to the real one."""
        return self.venue

    @property
    def orders(self) -> OrderPort:
        return self.venue

    @property
    def bars(self) -> StoredBars:
        return self._of.bars

    @property
    def engine(self) -> LockStepClock:
        return self._of.engine

    @cached_property
    def facts(self) -> SqliteFacts:
        """Return the main bot's facts, with this strategy's passes stored in its own folder."""
        from tradebot.adapters.facts.facts import SharedFacts

        return self._close_later(SharedFacts(self.folder.path, self.events, self.stamp_time(), self._of.facts))
