"""Put together what each strategy sees: what it declared that it needs, read once for all of them, and nothing else."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from tradebot.desk.listing import NOT_LISTED, listed_for
from tradebot.errors import TradebotError
from tradebot.gates.common import unquoted
from tradebot.model.bar import Quote
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.instrument import Listing, of_order
from tradebot.model.position import Kept, Position, RoundTrip, complete
from tradebot.model.reasons import Reason
from tradebot.model.record import StrategyRefusal, SymbolFacts
from tradebot.model.series import Series, SeriesKey, width_of
from tradebot.model.totals import Totals
from tradebot.model.values import replace
from tradebot.model.view import BarNeed, Needs, StrategyView
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import World
from tradebot.timetable.sessions import BEGINS_AHEAD, ENDS_LATE, last_session

MOST_BARS_TOGETHER = 5_000_000
"""The most bars that one strategy may see at once: some 240 MB."""


class Seen(NamedTuple):
    """What a strategy sees, and which symbols are left out of its universe, and why.

    If a need can't be met for any symbol, the view has no universe, and `unmet` says why.
    """

    view: StrategyView
    left_out: tuple[StrategyRefusal, ...] = ()
    unmet: Decision | None = None


def sees_its_slot(needs: Needs) -> bool:
    """Return True if a strategy with its own clock sees the moment at which its slot began.

    Quotes and flow are of now. Without them, it answers the same until its lots or its equity change.
    """
    return not (needs.facts or needs.quotes)


class Sights:
    """What was known at `now`; everything is read when the first strategy needs it, and only once."""

    def __init__(self, world: World, now: datetime, strategies: Sequence[Strategy]) -> None:
        self.world = world
        self._now = now
        self._strategies = strategies

    def of(self, strategy: Strategy, *, slot: str = "", as_of: datetime | None = None) -> Seen:
        """Return what a strategy sees; bars are those that were closed at `as_of`, which is now unless it is given."""
        needs, universe = strategy.needs, self._universe(strategy)
        until, sectors = as_of or self._now, self.world.rules.sectors
        now = until if sees_its_slot(needs) else self._now
        series = self._series(needs.bars, universe, until)
        if isinstance(series, Decision):
            return Seen(StrategyView(now, (), slot=slot), unmet=series)
        absent = {symbol: why for symbol in universe if (why := self._absent(strategy, symbol, series, until))}
        left = tuple([symbol for symbol in universe if symbol not in absent])
        own = (each for each in self._positions if each.strategy == strategy.name) if needs.lots else ()
        lots = {position.symbol: position for position in own}
        view = StrategyView(
            now,
            left,
            facts=MappingProxyType(self._facts_of(left, needs.facts)) if needs.facts else {},
            market={name: self._market[name] for name in needs.facts if name in self._market},
            series=MappingProxyType(series),
            quotes=MappingProxyType({s: self._quotes[s] for s in left}) if needs.quotes else {},
            lots=MappingProxyType(lots),
            equity_usd=self._account_equity * self.world.rules.of(strategy.name).allotment_fraction
            if needs.equity
            else None,
            slot=slot,
            trades=MappingProxyType(self._trades.get(strategy.name, {})) if needs.trades else {},
            costs=self.world.rules.of(strategy.name).costs,
            sectors={symbol: sectors[symbol] for symbol in left if symbol in sectors},
            kept=MappingProxyType(self._kept_of(lots)),
        )
        return Seen(view, tuple([StrategyRefusal(strategy.name, why, symbol) for symbol, why in absent.items()]))

    def _universe(self, strategy: Strategy) -> Sequence[str]:
        return self.world.rules.of(strategy.name).universe

    def _absent(
        self, strategy: Strategy, symbol: str, series: Mapping[SeriesKey, Series], until: datetime
    ) -> Decision | None:
        if symbol not in self.listings:
            return NOT_LISTED
        for need in strategy.needs.bars:
            if need.symbols and symbol not in need.symbols:
                continue
            found = series.get(need.key_of(symbol))
            if not found or len(found) < need.enough:
                have = len(found) if found else 0
                return Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_MISSING, have, need.enough)
            if need.max_age_s is not None and (age_s := self._age_s(found, until)) > need.max_age_s:
                return Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_STALE, age_s, need.max_age_s, age_s)
        if strategy.needs.quotes and symbol not in self._quotes:
            return unquoted(Gate.NEEDS, self.world.market.rejected_quotes.get(symbol))
        return None

    def _age_s(self, series: Series, until: datetime) -> float:
        """Return for how many seconds a session was open between the end of the newest bar and `until`."""
        end = series.start_of(-1) + (width_of(series.timeframe) or timedelta(days=1))
        sessions = self.world.ledger.sessions(end.date() - ENDS_LATE, until.date() + BEGINS_AHEAD)
        open_for = (min(until, session.close) - max(end, session.open) for session in sessions)
        return sum(max(span.total_seconds(), 0.0) for span in open_for)

    def _series(
        self, needs: Sequence[BarNeed], universe: Sequence[str], until: datetime
    ) -> dict[SeriesKey, Series] | Decision:
        """Return the bars of all needs; if two of them overlap, the deeper one counts."""
        together = sum([need.depth * len(need.symbols or universe) for need in needs])
        if together > MOST_BARS_TOGETHER:
            return Decision(Gate.NEEDS, Verdict.FAIL, Reason.BARS_TOO_MANY, together, MOST_BARS_TOGETHER)
        offered = self.world.venue.bar_prices
        if lacking := sorted({need.price for need in needs} - offered):
            return Decision(
                Gate.NEEDS, Verdict.FAIL, Reason.BARS_NOT_OFFERED, ", ".join(lacking), ", ".join(sorted(offered))
            )
        found: dict[SeriesKey, Series] = {}
        try:
            for need in sorted(needs, key=lambda need: need.depth):
                for symbol, series in self.world.bars.closed(need, need.symbols or universe, until).items():
                    found[need.key_of(symbol)] = series.last(need.depth)
        except TradebotError as away:
            return Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_UNAVAILABLE, away.message)
        return found

    def _facts_of(self, universe: Sequence[str], kinds: frozenset[str]) -> dict[str, SymbolFacts]:
        return {symbol: self._facts[symbol].only(kinds) for symbol in universe if symbol in self._facts}

    def _kept_of(self, lots: Mapping[str, Position]) -> dict[str, Kept]:
        """Return what the books keep of positions, without best and worst prices, which change with every quote."""
        found = self.world.ledger.kept([position.key for position in lots.values()]) if lots else {}
        kept = {symbol: complete(found.get(position.key), position) for symbol, position in lots.items()}
        return {symbol: replace(one, best=None, worst=None) for symbol, one in kept.items()}

    @cached_property
    def listings(self) -> Mapping[str, Listing]:
        """Return what is listed of all that these strategies may want, by symbol."""
        universes = (self._universe(strategy) for strategy in self._strategies)
        held = (position.symbol for position in self._positions) if any(s.needs.lots for s in self._strategies) else ()
        return listed_for(self.world, (*chain.from_iterable(universes), *held))

    def listing_of(self, symbol: str, held: Position | None) -> Listing | None:
        """Return how a symbol is listed, or else what a position in it was opened as; None if nobody knows."""
        listing = self.listings.get(symbol)
        if listing or held is None:
            return listing
        opened = self.world.ledger.kept([held.key]).get(held.key)
        return of_order(opened.instrument, self._now) if opened and opened.instrument else None

    @cached_property
    def _flow_universe(self) -> tuple[str, ...]:
        reading = (self._universe(strategy) for strategy in self._strategies if strategy.needs.facts)
        return tuple(dict.fromkeys(symbol for universe in reading for symbol in universe))

    @cached_property
    def _facts(self) -> Mapping[str, SymbolFacts]:
        session = last_session(self.world.ledger, self._now, self.world.venue.day)
        return self.world.facts.load(self._flow_universe, session, self._now)

    @cached_property
    def _market(self) -> Mapping[str, object]:
        session = last_session(self.world.ledger, self._now, self.world.venue.day)
        return self.world.facts.market(session, self._now)

    @cached_property
    def _quotes(self) -> Mapping[str, Quote]:
        quoting = (self._universe(strategy) for strategy in self._strategies if strategy.needs.quotes)
        return self.world.market.quotes(tuple(dict.fromkeys(s for universe in quoting for s in universe)))

    @cached_property
    def _positions(self) -> Sequence[Position]:
        return self._totals.own_positions()

    @cached_property
    def _trades(self) -> Mapping[str, Mapping[str, Sequence[RoundTrip]]]:
        """Return the closed trades of each strategy by symbol, oldest first."""
        trades: dict[str, dict[str, list[RoundTrip]]] = {}
        for trip in self._totals.round_trips:
            trades.setdefault(trip.strategy, {}).setdefault(trip.symbol, []).append(trip)
        return trades

    @cached_property
    def _totals(self) -> Totals:
        return self.world.ledger.totals()

    @cached_property
    def _account_equity(self) -> Decimal:
        return self.world.reader.account().equity
