"""Build each strategy's inputs: exactly its declared needs, read once for all strategies."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import chain, product
from types import MappingProxyType
from typing import NamedTuple

from tradebot.desk.listing_lookup import NOT_LISTED, read_listings
from tradebot.errors import TradebotError
from tradebot.gates.shared_gates import fail_without_quote
from tradebot.model.account import BrokerView
from tradebot.model.bar import Quote
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.instrument import Listing, of_order
from tradebot.model.position import EntryTerms, Position, RoundTrip, complete
from tradebot.model.reasons import Reason
from tradebot.model.record import StrategyRefusal, SymbolFacts
from tradebot.model.series import Series, SeriesKey, width_of
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.view import BarNeed, FeatureNeed, FeatureRow, Needs, Situation, StrategyView
from tradebot.ports.stores import Ledger
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import World
from tradebot.timetable.sessions import BEGINS_AHEAD, ENDS_LATE, last_session, session_of

MOST_BARS_TOGETHER = 5_000_000
"""The most bars in one strategy's view; they take about 240 MB."""


Rows = Mapping[tuple[str, str], FeatureRow]
"""Features by symbol and timeframe."""


class StrategyInputs(NamedTuple):
    """The inputs that a strategy gets, and the symbols left out of its universe with the reason for each.

    If a need can't be met for any symbol, the view has no universe, and `unmet` says why.
    """

    view: StrategyView
    left_out: tuple[StrategyRefusal, ...] = ()
    unmet: Decision | None = None


def uses_slot_time(needs: Needs) -> bool:
    """Return True if a strategy with its own clock sees the state at the start of its slot.

    Quotes, flow, features computed from them, and the account's state are always current. If a strategy uses none of
    them, its answer stays the same until its lots or its equity change.
    """
    return not (needs.facts or needs.quotes or needs.situation or any(map(_differs_by_moment, needs.features)))


def _differs_by_moment(need: FeatureNeed) -> bool:
    # The library for features is slow to import, and few strategies need it.
    from tradebot.desk.features import of_the_moment

    return of_the_moment(need)


def reads_quotes(needs: Needs) -> bool:
    """Return True if a strategy reads quotes, or features made from quotes."""
    if needs.quotes or not needs.features:
        return needs.quotes
    from tradebot.desk import features

    return any(map(features.reads_quotes, needs.features))


class ViewBuilder:
    """Everything known at `now`; each source is read once, when the first strategy needs it."""

    def __init__(self, world: World, now: datetime, strategies: Sequence[Strategy]) -> None:
        self.world = world
        self._now = now
        self._strategies = strategies
        self._open_s: dict[tuple[datetime, datetime], float] = {}

    def of(self, strategy: Strategy, *, slot: str = "", as_of: datetime | None = None) -> StrategyInputs:
        """Return a strategy's inputs; its bars are those closed by `as_of`, which defaults to now."""
        needs, universe = strategy.needs, self._universe(strategy)
        until, sectors = as_of or self._now, self.world.rules.sectors
        now = until if uses_slot_time(needs) else self._now
        series = self._series(needs.bars, universe, until)
        if isinstance(series, Decision):
            return StrategyInputs(StrategyView(now, (), slot=slot), unmet=series)
        rows = self._rows(needs.features, universe, until)
        if isinstance(rows, Decision):
            return StrategyInputs(StrategyView(now, (), slot=slot), unmet=rows)
        absent = {symbol: why for symbol in universe if (why := self._absent(needs, symbol, series, rows, until))}
        remaining = tuple([symbol for symbol in universe if symbol not in absent])
        own = (each for each in self._positions if each.strategy == strategy.name) if needs.lots else ()
        lots = {position.symbol: position for position in own}
        view = StrategyView(
            now,
            remaining,
            facts=MappingProxyType(self._facts_of(remaining, needs.facts)) if needs.facts else {},
            market={name: self._market[name] for name in needs.facts if name in self._market},
            series=MappingProxyType(series),
            quotes=MappingProxyType({s: self._quotes[s] for s in remaining}) if needs.quotes else {},
            lots=MappingProxyType(lots),
            equity_usd=self._account_equity * self.world.rules.of(strategy.name).allotment_fraction
            if needs.equity
            else None,
            slot=slot,
            trades=MappingProxyType(self._trades.get(strategy.name, {})) if needs.trades else {},
            costs=self.world.rules.of(strategy.name).costs,
            sectors={symbol: sectors[symbol] for symbol in remaining if symbol in sectors},
            kept=MappingProxyType(self._stable_terms(lots)),
            features=MappingProxyType(rows),
            situation=self._situation(strategy.name) if needs.situation else None,
        )
        return StrategyInputs(
            view, tuple([StrategyRefusal(strategy.name, why, symbol) for symbol, why in absent.items()])
        )

    def _universe(self, strategy: Strategy) -> Sequence[str]:
        return self.world.rules.of(strategy.name).universe

    def _absent(
        self, needs: Needs, symbol: str, series: Mapping[SeriesKey, Series], rows: Rows, until: datetime
    ) -> Decision | None:
        if symbol not in self.listings:
            return NOT_LISTED
        for need in needs.bars:
            if need.symbols and symbol not in need.symbols:
                continue
            series_found = series.get(need.key_of(symbol))
            if not series_found or len(series_found) < need.enough:
                have = len(series_found) if series_found else 0
                return Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_MISSING, have, need.enough)
            ended = series_found.start_of(-1) + (width_of(series_found.timeframe) or timedelta(days=1))
            if stale := self._stale(ended, need.max_age_s, until):
                return stale
        for wanted in needs.features:
            if why := self._featureless(wanted, rows.get((symbol, wanted.timeframe)), until):
                return why
        if needs.quotes and symbol not in self._quotes:
            return fail_without_quote(Gate.NEEDS, self.world.market.rejected_quotes.get(symbol))
        return None

    def _featureless(self, need: FeatureNeed, row: FeatureRow | None, until: datetime) -> Decision | None:
        """Return why a symbol lacks required features; None if it has them."""
        if row is None:
            return Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_MISSING, 0, 1)
        for name in need.names:
            if name not in row.values:
                return Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.FEATURE_ABSENT, f"{name}: {row.absent[name]}")
        return self._stale(row.at, need.max_age_s, until)

    def _stale(self, ended: datetime, max_age_s: int | None, until: datetime) -> Decision | None:
        """Refuse a symbol whose newest bar ended over `max_age_s` ago, counting only seconds within sessions."""
        if max_age_s is None:
            return None
        age_s = self._open_for_s(ended, until)
        if age_s <= max_age_s:
            return None
        return Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_STALE, age_s, max_age_s, age_s)

    def _open_for_s(self, since: datetime, until: datetime) -> float:
        """Return how many seconds of sessions lie between two times; most symbols' bars ended at the same time."""
        if (since, until) not in self._open_s:
            sessions = self.world.ledger.sessions(since.date() - ENDS_LATE, until.date() + BEGINS_AHEAD)
            open_for = (min(until, session.close) - max(since, session.open) for session in sessions)
            self._open_s[since, until] = sum(max(span.total_seconds(), 0.0) for span in open_for)
        return self._open_s[since, until]

    def _rows(self, needs: Sequence[FeatureNeed], universe: Sequence[str], until: datetime) -> Rows | Decision:
        """Return the features for all needs, by symbol and timeframe; omit symbols without a bar."""
        if not needs:
            return {}
        from tradebot.desk.features import BarFeatures, bars_for

        venue, rows = self.world.venue, dict[tuple[str, str], FeatureRow]()
        together = sum([bars_for(need, venue.day).depth * len(universe) for need in needs])
        if together > MOST_BARS_TOGETHER:
            return Decision(Gate.NEEDS, Verdict.FAIL, Reason.BARS_TOO_MANY, together, MOST_BARS_TOGETHER)
        computed = self.world.features or BarFeatures(self.world.bars, self.world.ledger.sessions, venue.day)
        listed = [self.listings[symbol] for symbol in universe if symbol in self.listings]
        try:
            for need, listing in product(needs, listed):
                calendar = "" if listing.instrument.calendar == venue.calendar else listing.instrument.calendar
                rolls = (listing.rolling.on,) if listing.rolling else None
                row = computed.row(need, listing.symbol, until, calendar, rolls)
                if row is not None:
                    rows[listing.symbol, need.timeframe] = self._with_moment(need, row, listing)
        except TradebotError as away:
            return Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_UNAVAILABLE, away.message)
        return rows

    def _with_moment(self, need: FeatureNeed, row: FeatureRow, listing: Listing) -> FeatureRow:
        from tradebot.desk.features import reads_quotes, with_moment

        if not _differs_by_moment(need):
            return row
        spread = self._spread(listing) if reads_quotes(need) else None
        return with_moment(need, row, self._now, spread, self._market)

    def _spread(self, listing: Listing) -> float | None:
        """Return the spread of a symbol's quote in ticks."""
        quote = self._quotes.get(listing.symbol)
        return None if quote is None else float((quote.ask - quote.bid) / listing.tick_at(quote.middle))

    def _series(
        self, needs: Sequence[BarNeed], universe: Sequence[str], until: datetime
    ) -> dict[SeriesKey, Series] | Decision:
        """Return the bars for all needs; where two needs overlap, the deeper one decides."""
        together = sum([need.depth * len(need.symbols or universe) for need in needs])
        if together > MOST_BARS_TOGETHER:
            return Decision(Gate.NEEDS, Verdict.FAIL, Reason.BARS_TOO_MANY, together, MOST_BARS_TOGETHER)
        offered = self.world.venue.bar_prices
        if lacking := sorted({need.price for need in needs} - offered):
            return Decision(
                Gate.NEEDS, Verdict.FAIL, Reason.BARS_NOT_OFFERED, ", ".join(lacking), ", ".join(sorted(offered))
            )
        series_by_series_key: dict[SeriesKey, Series] = {}
        try:
            for need in sorted(needs, key=lambda need: need.depth):
                for symbol, series in self.world.bars.closed(need, need.symbols or universe, until).items():
                    series_by_series_key[need.key_of(symbol)] = series.last(need.depth)
        except TradebotError as away:
            return Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_UNAVAILABLE, away.message)
        return series_by_series_key

    def _facts_of(self, universe: Sequence[str], kinds: frozenset[str]) -> dict[str, SymbolFacts]:
        return {symbol: self._facts[symbol].only(kinds) for symbol in universe if symbol in self._facts}

    def _stable_terms(self, lots: Mapping[str, Position]) -> dict[str, EntryTerms]:
        """Return the stored terms of positions, without best and worst prices, which change with every quote."""
        stored_terms = self.world.ledger.entry_terms([position.key for position in lots.values()]) if lots else {}
        terms_by_symbol = {
            symbol: complete(stored_terms.get(position.key), position) for symbol, position in lots.items()
        }
        return {symbol: replace(terms, best=None, worst=None) for symbol, terms in terms_by_symbol.items()}

    def _situation(self, strategy: str) -> Situation:
        return situation_of(self.world, self._now, self._venue_view, self._positions, strategy)

    @cached_property
    def _venue_view(self) -> BrokerView:
        return self.world.reader.view()

    @cached_property
    def listings(self) -> Mapping[str, Listing]:
        """Return the listings of all symbols that these strategies may want."""
        universes = (self._universe(strategy) for strategy in self._strategies)
        symbols = (
            (position.symbol for position in self._positions) if any(s.needs.lots for s in self._strategies) else ()
        )
        return read_listings(self.world, (*chain.from_iterable(universes), *symbols))

    def listing_of(self, symbol: str, position: Position | None) -> Listing | None:
        """Return a symbol's listing, or one built from the instrument of our position in it; None without either."""
        listing = self.listings.get(symbol)
        if listing or position is None:
            return listing
        opened = self.world.ledger.entry_terms([position.key]).get(position.key)
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
        quoting = (self._universe(strategy) for strategy in self._strategies if reads_quotes(strategy.needs))
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


def situation_of(
    world: World, now: datetime, view: BrokerView, positions: Sequence[Position], strategy: str
) -> Situation:
    """Return the account's and the session's state for a strategy, from the venue and the books."""
    session, peak = session_of(world.ledger, now, world.venue.day), world.ledger.equity_peak()
    equity = view.account.equity
    if session is not None and not session.contains(now):
        session = None
    return Situation(
        session,
        equity,
        max(equity, peak.highest if peak else equity),
        dict(_unrealized_profits(view, (position for position in positions if position.strategy == strategy))),
        trades_of(world.ledger, session.date, session.open, strategy) if session else 0,
    )


def _unrealized_profits(view: BrokerView, positions: Iterator[Position]) -> Iterator[tuple[str, Decimal]]:
    prices = {position.symbol: position.current_price for position in view.positions}
    for position in positions:
        price = prices.get(position.symbol)
        if price is not None:
            yield position.symbol, position.value_at(price) - position.cost


def trades_of(ledger: Ledger, session: date, opened_at: datetime, strategy: str) -> int:
    """Return how many of a strategy's orders in a session opened or added to a position and have a fill.

    An order that was replaced by another one counts once.
    """
    entries = {
        intent.client_order_id: (intent.key.slot, *intent.holding, intent.side)
        for record in ledger.intents(session=session)
        if (intent := record.intent).key.strategy == strategy and intent.purpose is Purpose.OPEN and intent.makes_order
    }
    if not entries:
        return 0
    filled = (order.client_order_id for order in ledger.orders(since=opened_at) if order.filled_quantity)
    return len({entries[name] for name in filled if name in entries})
