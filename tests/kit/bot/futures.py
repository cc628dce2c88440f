"""The pit: one bot of futures and one exchange in this process, over the cable, made again for each day.

A run is a process: it opens the bot anew, with a connection of its own. When it is killed at a failpoint, its
connection ends there, and nothing of it has an effect any more.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from exchange.tests.kit.cable import PORT, Cable
from exchange.tests.kit.wire import URL
from papervenue import process
from papervenue.exchange import Exchange
from papervenue.market.futures import futures_venue
from papervenue.market.spec import NEXT_BAR, MarketSpec
from papervenue.market_loader import open_market
from papervenue.state import read_market
from tests.kit.bot.near import Hook, NearDay, Verb, compares, entries, exits, now_of, tick, write_candidates
from tests.kit.bot.state import load_state, make_state, open_app
from tradebot.adapters import failpoint
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.adapters.wire.http import RetryPolicy
from tradebot.app.settings import shipped_path
from tradebot.app.wiring import App
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.venues.ibkr.capabilities import IBKR, TRADING_ID
from tradebot.venues.ibkr.link import IbkrLink, IbkrVenue, LinkTimeouts

SIZE = 2
STRATEGIES: dict[str, Any] = {"futures": None} | load_yaml(shipped_path("base.yaml"), shipped=True)["strategies"]  # type: ignore[operator]
CONFIGURATION = """
venue: {venue}
universe: [{universe}]
strategies: {strategies}
sectors: {{{left}: {sector}, {into}: {sector}}}
limits: {{cooldown_s: 1, max_order_notional_usd: 1000000, max_order_fraction: 2, max_symbol_fraction: 2,
         max_sector_fraction: 4, max_gross_fraction: 4, max_order_contracts: {size}, price_collar_fraction: 0.3}}
exits: {{time_exit_s: {held_s}, profit_target_fraction: {far}, stop_loss_fraction: {stop},
        trailing_arm_fraction: {arm}, trailing_stop_fraction: 0.03}}
"""
FINDINGS = (0, 10)
"""How a comparison ends that has let the bot go on."""
SEED = 5
"""With it, prices stay within stops until contracts are left."""
QUICK = RetryPolicy(attempts=2, sleep=lambda seconds: None)
SHORT = LinkTimeouts(0.5, 0.5, 0.5, 0.5, reads_a_second=0)


class Floor(NamedTuple):
    """What is traded: the contract that is `left`, and `into` which one; when it is opened, and when it rolls.

    `universe` is what the bot's configuration names, `strategies` are others than the usual ones, and `moves_on` is
    another day before which the market's volume moves. Positions stay within `stop` and `far` for `held_s`.
    """

    root: str
    sector: str
    left: str
    into: str
    start: date
    sessions: int
    opens_at: datetime
    rolls_at: datetime
    universe: str = ""
    moves_on: str = ""
    held_s: int = 400_000
    stop: float = 0.03
    arm: float = 0.09
    far: float = 0.1
    seed: int = SEED
    strategies: Mapping[str, Any] = STRATEGIES

    @property
    def configuration(self) -> str:
        """Return the bot's configuration."""
        words = {"venue": IBKR.name, "strategies": json.dumps(self.strategies, default=float), "size": SIZE}
        return CONFIGURATION.format(**self._asdict() | words | {"universe": self.universe or self.left})

    @property
    def market(self) -> MarketSpec:
        """Return the exchange's market."""
        venue = futures_venue(self.start, self.sessions, (self.root,))
        if self.moves_on:
            moved = (replace(one, rolls=self.moves_on) if one.symbol == self.left else one for one in venue.instruments)
            venue = replace(venue, instruments=tuple(moved))
        symbols = tuple(one.symbol for one in venue.instruments)
        fill = NEXT_BAR._replace(volume_share=None, partial_rate=Decimal("0.25"))
        return MarketSpec(
            start=self.start, symbols=symbols, sessions=self.sessions, seed=self.seed, fill=fill, venue=venue
        )


INDEXES = Floor(
    "MES",
    "indexes",
    "MESZ6",
    "MESH7",
    # A Friday. On Tuesday, December's contracts of stock indexes are left for March's.
    date(2026, 12, 4),
    4,
    datetime(2026, 12, 7, 20, 0, tzinfo=UTC),
    # In the hour in which most is traded of both months.
    datetime(2026, 12, 8, 19, 1, tzinfo=UTC),
)
LEFT, INTO = INDEXES.left, INDEXES.into


class Pit:
    """What every day begins with: a bot that has compared its books, late in a session."""

    def __init__(
        self, root: Path, cable: Cable, floor: Floor = INDEXES, closes: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.root, self.cable, self.floor = root, cable, floor
        market = floor.market
        listed = tuple(replace(one, closes=closes) for one in market.venue.instruments)
        process.create(
            root / "first",
            replace(market, venue=replace(market.venue, instruments=listed)) if closes else market,
        )
        self.stored = read_market(root / "first")
        self.market = open_market(root / "first", self.stored)
        exchange = Exchange(root / "first", self.stored, self.market)
        for step in ({"to": "close"}, {"to": floor.opens_at.isoformat()}):
            tick(exchange, step)
        exchange.commit()
        self.begun, self.number = exchange.log.count, exchange.engine.main.number
        self._prepare(root / "bot", now_of(exchange))
        day = FuturesDay(self, exchange, root / "bot")
        assert day.run(compares) == 0
        self._keep(day, "flat")

    def trades(self) -> None:
        """Keep what else days may begin with: what rests, is held, rolls, and has half rolled."""
        self._rest(self.day("flat"))
        day = self.holds()
        day.tick(to=self.floor.rolls_at.isoformat())
        assert day.run(compares) in FINDINGS
        self._keep(day, "rolls")
        day.passes(exits)
        day.tick(seconds=61)
        assert day.run(compares) in FINDINGS
        self._keep(day, "has closed")
        self._leave(self.day("rolls"))

    def holds(self) -> "FuturesDay":
        """Open a position with its stop, keep that, and return what goes on from there."""
        day = self.day("flat")
        assert day.run(wants(self.root, {self.floor.left: "buy"})) == 0
        day.tick(seconds=122)
        day.passes(exits, compares)
        self._keep(day, "held")
        return day

    def _rest(self, day: "FuturesDay") -> None:
        """Let an entry rest until it is too old."""
        day.arm([{"name": "halted", "what": "halt_symbol"}])
        assert day.run(wants(self.root, {LEFT: "buy"})) == 0
        day.tick(seconds=660)
        self._keep(day, "resting")

    def _leave(self, day: "FuturesDay") -> None:
        """Let a close rest until it needs another price."""
        day.arm([{"name": "halted", "what": "halt_symbol"}])
        assert day.run(exits) == 0
        day.calm()
        day.arm([{"name": "halted", "what": {"halt_symbol": "5m"}}])
        day.tick(seconds=240)
        self._keep(day, "leaving")

    def _keep(self, day: "FuturesDay", name: str) -> None:
        """Keep bot and exchange as they are now, for days to begin with."""
        assert not day.problems, day.problems
        day.exchange.commit()
        shutil.copytree(self.root / "bot", self.root / name)
        shutil.copy(day.exchange.log.path, self.root / f"{name}.jsonl")

    def _prepare(self, folder: Path, now: datetime) -> None:
        configuration = self.floor.configuration
        make_state(folder, self.number, now, configuration, venue=IBKR.name, settlement=IBKR.settlement)
        self.loaded = load_state(folder)

    def day(self, begins: str) -> "FuturesDay":
        """Return bot and exchange as they were kept under a name; those of the day before are gone."""
        for folder in (self.root / "bot", self.root / "exchange"):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.root / begins, self.root / "bot", copy_function=shutil.copy)
        (self.root / "exchange").mkdir()
        shutil.copy(self.root / f"{begins}.jsonl", self.root / "exchange" / "log.jsonl")
        return FuturesDay(self, Exchange(self.root / "exchange", self.stored, self.market), self.root / "bot")


class FuturesDay(NearDay):
    """One bot and one exchange."""

    def __init__(self, pit: Pit, exchange: Exchange, folder: Path) -> None:
        super().__init__(exchange, folder, pit.begun)
        self._pit = pit
        self.port, self.policy, self.patience = PORT, QUICK, SHORT
        pit.cable.connect(exchange, lambda fields: None)
        self.calm()

    def passes(self, *verbs: Verb) -> list[int]:
        """Run verbs, each followed by a minute."""
        codes = []
        for verb in verbs:
            codes.append(self.run(verb))
            self.tick(seconds=61)
        return codes

    def run(self, verb: Verb, hook: Hook | None = None) -> int:
        """Run a verb as a process of its own does; return its exit code, KILLED or ERRED."""
        link = IbkrLink("127.0.0.1", self.port, TRADING_ID, self.policy, self.patience)
        failpoint.hook = hook
        try:
            return self.end_of(verb, self._opened(link))
        finally:
            failpoint.hook = None
            link.close()

    @contextmanager
    def _opened(self, link: IbkrLink) -> Iterator[App]:
        with closing(open_app(self.folder, self._pit.loaded, URL)) as app:
            app.__dict__["connection"] = IbkrVenue(Mode.SANDBOX, link, app.turns.give_way)
            yield app

    def ledger(self) -> SqliteLedger:
        """Return the books, to be read."""
        return SqliteLedger.open(self.folder, read_only=True)


def wants(folder: Path, wanted: Mapping[str, str]) -> Verb:
    """Return a pass of entries whose candidates want a side of each symbol."""
    return entries(write_candidates(folder / "candidates.jsonl", wanted))
