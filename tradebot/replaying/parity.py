"""Compare a bot's session with a backtest of the same session, and explain the differences.

Passes are matched by their slots, and orders by their ids, which are computed from their content. A difference is
explained by the inputs of its pass. If the inputs differ for an outside reason, that reason is the cause. If they
differ because of an earlier difference, both differences have the same cause. If both passes had the same inputs, this
program is at fault. If no market can be simulated, fills are compared with assumed fills.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate
from tradebot.model.instrument import notional
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Fill, OrderType, fee_id
from tradebot.model.parity import IN_FULL, ZERO, DifferenceType, ParityCause, ParityDifference
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.sentences import pluralize
from tradebot.replaying.cycle_comparison import PassSeen, Slot

NOTHING = "nothing"


class RequestWithFills(NamedTuple):
    """An order request of the bot or of its backtest, with its fills.

    `booked` is False if the books lack some of the venue's fills.
    """

    intent: Intent
    slot: Slot
    fills: tuple[Fill, ...] = ()
    booked: bool = True


class SessionSide(NamedTuple):
    """One side of the comparison, the bot or its backtest: its passes by slot, and its requests by client order id."""

    passes: Mapping[Slot, PassSeen]
    sent: Mapping[str, RequestWithFills]


Data = Callable[[PassSeen, str, str], ParityCause | None]
"""Returns why a strategy's bars of a symbol differ: they came late or were revised; None if neither."""


def no_known_cause(pass_seen: PassSeen, strategy: str, symbol: str) -> ParityCause | None:
    """Return None, because nothing is known about the cause if bars differ."""
    return None


def costs(ran: SessionSide, assumed_bps: Decimal, paid: Mapping[str, Decimal]) -> Decimal | None:
    """Return the cost of a session's fills: fees plus assumed slippage; None if a fee isn't known.

    `paid` has fees in USD that were booked after their fills, by `fee_id`.
    """
    fills = [fill for sent in ran.sent.values() for fill in sent.fills]
    fees = ZERO
    for fill in fills:
        if fill.fee is not None and fill.fee.amount is None:
            if (later := paid.get(fee_id(fill.activity_id))) is None:
                return None
            fees += later
        elif fill.fee is not None:
            fees += fill.fee.usd
    return (
        fees
        + sum((notional(fill.quantity, fill.price, fill.multiplier) for fill in fills), ZERO) * assumed_bps / IN_FULL
    )


class FillComparison(NamedTuple):
    """The counts and the differences of a comparison.

    For orders that filled on both sides, it also says how much worse the bot's fills were, in USD.
    """

    decisions: int
    fills: int
    differences: tuple[ParityDifference, ...]
    worse_usd: Decimal
    value_usd: Decimal


def compare(live: SessionSide, played: SessionSide, prices: Mapping[str, Decimal], data: Data) -> FillComparison:
    """Compare a bot's session with its backtest; `prices` value the remaining positions at the end."""
    return _Comparing(live, played, prices, data).compare()


class _Comparing:
    """One comparison: differences in the order of time, because an earlier one may explain a later one."""

    def __init__(self, live: SessionSide, played: SessionSide, prices: Mapping[str, Decimal], data: Data) -> None:
        self._live, self._played, self._prices, self._data = live, played, prices, data
        self._found: list[ParityDifference] = []
        self._of_pass: dict[Slot, list[ParityDifference]] = defaultdict(list)
        self._decisions = 0

    def compare(self) -> FillComparison:
        for _, _, look in sorted(self._looks(), key=lambda row: row[:2]):
            look()
        both = [name for name in self._live.sent if name in self._played.sent]
        pairs = [fill_shortfall(self._live.sent[name].fills, self._played.sent[name].fills) for name in both]
        worse, value = (sum((pair[index] for pair in pairs), ZERO) for index in (0, 1))
        return FillComparison(self._decisions, sum(bool(value) for _, value in pairs), tuple(self._found), worse, value)

    def _looks(self) -> Iterator[tuple[datetime, int, Callable[[], None]]]:
        """Yield what to compare, by time: fills, then the passes that saw them, then the orders they sent."""
        for slot in {**self._live.passes, **self._played.passes}:
            yield self._time_of(slot), 1, partial(self._pass, slot)
        for name in {**self._live.sent, **self._played.sent}:
            sides = [side.sent[name] for side in (self._live, self._played) if name in side.sent]
            yield min(side.intent.at for side in sides), 2, partial(self._order, name)
            if len(sides) == 2 and (fills := [fill.at for side in sides for fill in side.fills]):
                yield min(fills), 0, partial(self._compare_fills, name)

    def _time_of(self, slot: Slot) -> datetime:
        return min(side.passes[slot].desk.now for side in (self._live, self._played) if slot in side.passes)

    def _note(self, slot: Slot, difference: ParityDifference) -> None:
        self._found.append(difference)
        self._of_pass[slot].append(difference)

    def _pass(self, slot: Slot) -> None:
        live, played = self._live.passes.get(slot), self._played.passes.get(slot)
        if live is None or played is None:
            self._note_missing_pass(slot, live or played)
            return
        sides = _answers(live), _answers(played)
        self._decisions += len(sides[0])
        for key in dict.fromkeys((*sides[0], *sides[1])):
            then, now = (side.get(key, ()) for side in sides)
            if then != now:
                strategy, symbol, *_ = key
                cause = self._cause(slot, live, played, key)
                self._note_decision(slot, live, strategy, symbol, cause, *_where(then, now))
        if live.otherwise and not self._of_pass[slot]:
            self._note_decision(
                slot,
                live,
                "",
                "",
                ParityCause.OURS,
                "as recorded",
                f"a replay of the record differs in {live.otherwise}",
            )

    def _note_decision(
        self, slot: Slot, pass_seen: PassSeen, strategy: str, symbol: str, cause: ParityCause, *detail: str
    ) -> None:
        live, played = detail
        about = slot[0], slot[2], strategy, symbol, cause, live, played
        self._note(slot, ParityDifference(DifferenceType.DECISION, pass_seen.desk.now, *about))

    def _note_missing_pass(self, slot: Slot, only: PassSeen | None) -> None:
        """Note a pass that only one side has, if it decided anything."""
        assert only is not None, "one of the two sides must have the pass"
        decided = len(only.cycle.candidates)
        if decided:
            details = [pluralize(decided, "candidate"), "no pass"]
            details = details if slot in self._live.passes else details[::-1]
            self._note_decision(slot, only, "", "", ParityCause.MISSED_SLOT, *details)

    def _cause(self, slot: Slot, live: PassSeen, played: PassSeen, key: tuple[str, ...]) -> ParityCause:
        """Return why a candidate's result differs: the pass's inputs, or an earlier difference."""
        strategy, symbol, *_ = key
        if live.otherwise or _code(live, strategy) != _code(played, strategy):
            return ParityCause.OURS
        answer = _first_otherwise(live, played, key)
        if answer is not None and answer.reason is Reason.DUPLICATE_INTENT:
            # A first attempt of the same pass was interrupted after sending an order, before this desk was taken.
            holding = slot, (strategy, symbol)
            sent = ((fills.slot, fills.intent.holding, fills.intent.at) for fills in self._live.sent.values())
            cut_short = any((of, by) == holding and at < live.desk.now for of, by, at in sent)
            return ParityCause.MISSED_SLOT if cut_short else ParityCause.OURS
        if answer is not None and answer.gate is Gate.SEND:
            return ParityCause.FILL_MODEL
        quotes = _same_price(live, played, symbol)
        if not _same_wants(live, played, strategy, symbol):
            outside = ParityCause.LATE_DATA if _lacks_bars(live, *key[:2]) else self._data(live, strategy, symbol)
            if outside is not None or not quotes:
                return outside or ParityCause.PRICE
        elif not quotes:
            return ParityCause.PRICE
        if live.desk.now != played.desk.now:
            return ParityCause.LATE_DATA
        if live.desk.halt_evidence != played.desk.halt_evidence:
            return ParityCause.FILL_MODEL
        if live.desk.books.standing.reconciled != played.desk.books.standing.reconciled:
            return ParityCause.MISSED_SLOT
        return self._earlier_cause(slot, live, played, symbol)

    def _earlier_cause(self, slot: Slot, live: PassSeen, played: PassSeen, symbol: str) -> ParityCause:
        """Return the cause of the earlier difference behind this one; this program if there is none."""
        if _same_books(live, played):
            earlier: Sequence[ParityDifference] = self._of_pass[slot]
        else:
            earlier = self._found
        of_symbol = [difference for difference in earlier if difference.symbol == symbol]
        if parity_differences := of_symbol or earlier:
            return parity_differences[-1].cause
        if _venue_answers(live) != _venue_answers(played):
            return ParityCause.FILL_MODEL
        quoted_symbols = {*live.desk.quotes, *played.desk.quotes}
        return ParityCause.OURS if all(_same_price(live, played, bar) for bar in quoted_symbols) else ParityCause.PRICE

    def _order(self, name: str) -> None:
        live, played = self._live.sent.get(name), self._played.sent.get(name)
        if live and played and _content(live.intent) == _content(played.intent):
            return
        fills = live or played
        assert fills is not None, "one of the two sides must have sent the order"
        words = (NOTHING if each is None else _words(each.intent) for each in (live, played))
        self._add(DifferenceType.ORDER, name, fills, self._why_sent(fills), words)

    def _why_sent(self, fills: RequestWithFills) -> ParityCause:
        """Return why a request differs: its candidate's decisions, or the state that its pass found."""
        holding, of_pass = fills.intent.holding, self._of_pass[fills.slot]
        decided = [each for each in of_pass if (each.strategy, each.symbol) in (holding, ("", ""))]
        if decided:
            return decided[-1].cause
        live, played = self._live.passes.get(fills.slot), self._played.passes.get(fills.slot)
        if live is None or played is None:
            return ParityCause.MISSED_SLOT
        if live.otherwise:
            return ParityCause.OURS
        if not _same_price(live, played, holding[1]):
            return ParityCause.PRICE
        return self._earlier_cause(fills.slot, live, played, holding[1])

    def _compare_fills(self, name: str) -> None:
        live, played = self._live.sent[name], self._played.sent[name]
        same = all(then == now for _, (then, now) in _totals_by_side(live.fills, played.fills))
        if same or _content(live.intent) != _content(played.intent):
            return
        # A request that only one side sent may have canceled or replaced this one.
        sent = live.intent.at, live.intent.key.symbol
        earlier = [
            fill
            for fill in self._found
            if fill.what is DifferenceType.ORDER and fill.at > sent[0] and fill.symbol == sent[1]
        ]
        cause = ParityCause.OURS if not live.booked else earlier[-1].cause if earlier else ParityCause.FILL_MODEL
        self._add(DifferenceType.FILL, name, live, cause, (_filled_words(fills.fills) for fills in (live, played)))

    def _add(
        self, what: DifferenceType, name: str, fills: RequestWithFills, cause: ParityCause, details: Iterable[str]
    ) -> None:
        live, played = details
        at, (job, _, slot), (strategy, symbol) = fills.intent.at, fills.slot, fills.intent.holding
        cost = self._worth(self._played, name) - self._worth(self._live, name)
        difference = ParityDifference(what, at, job, slot, strategy, symbol, cause, live, played, cost, name)
        self._note(fills.slot, difference)

    def _worth(self, side: SessionSide, name: str) -> Decimal:
        """Return the profit of a request's fills at the end, in USD."""
        fills = side.sent[name].fills if name in side.sent else ()
        return sum((profit_at(fill, self._prices.get(fill.symbol, fill.price)) for fill in fills), ZERO)


def profit_at(fill: Fill, price: Decimal) -> Decimal:
    """Return a fill's profit once its symbol has this price, in USD."""
    return notional(fill.signed_quantity, price - fill.price, fill.multiplier)


_Totals = tuple[Decimal, Decimal, datetime | None]


def fill_shortfall(live: Sequence[Fill], played: Sequence[Fill]) -> tuple[Decimal, Decimal]:
    """Return how many USD worse an order's live fills were than the assumed fills, for the quantity that both have.

    Also return the value of that quantity at the assumed price.
    """
    worse = value = ZERO
    for side, ((shares, paid, _), (assumed, expected, _)) in _totals_by_side(live, played):
        if both := min(shares, assumed):
            worse += both * (paid / shares - expected / assumed) * side.sign
            value += both * (expected / assumed)
    return worse, value


def _totals_by_side(*sides: Sequence[Fill]) -> list[tuple[Side, list[_Totals]]]:
    """Return the totals of an order's fills apart from those of its attached stop and target."""
    return [(side, [_totals([fill for fill in fills if fill.side is side]) for fills in sides]) for side in Side]


def _totals(fills: Sequence[Fill]) -> _Totals:
    """Return the shares of an order's fills, their value in USD, and the time of the last one (None without fills)."""
    shares = sum((fill.quantity for fill in fills), ZERO)
    return shares, sum((abs(fill.notional) for fill in fills), ZERO), max((fill.at for fill in fills), default=None)


def _content(intent: Intent) -> tuple[object, ...]:
    """Return a request's content, without the names that its venue gave it."""
    prices = intent.limit_price, intent.stop_price
    return intent.operation, intent.side, intent.quantity, intent.order_type, intent.order_class, *prices


def _words(intent: Intent) -> str:
    price = intent.limit_price if intent.stop_price is None else intent.stop_price
    at = "" if price is None else f" at {price:f}"
    return f"{intent.operation} {intent.order_type} {intent.side} {intent.quantity:f}{at}"


def _filled_words(fills: Sequence[Fill]) -> str:
    executed = [
        (at, f"{side} {shares:f} at {round(paid / shares / fills[0].multiplier, 4):f}, {at:%H:%M:%SZ}")
        for side, ((shares, paid, at),) in _totals_by_side(fills)
        if at is not None
    ]
    return "; ".join(words for _, words in sorted(executed)) or NOTHING


Answers = Mapping[tuple[str, ...], tuple[str, ...]]
"""The decisions on each candidate of a pass: by strategy, symbol, purpose, and a counter."""


def _answers(pass_seen: PassSeen) -> Answers:
    answers = {key: _answer(record) for key, record in _records(pass_seen).items()}
    for refused in pass_seen.cycle.refused_strategies:
        answers[refused.strategy, refused.symbol or "", "refused", refused.slot] = (str(refused.decision.reason),)
    if pass_seen.cycle.job_decision is not None:
        answers["", "", "pass", ""] = (str(pass_seen.cycle.job_decision.reason),)
    return answers


def _records(pass_seen: PassSeen) -> Mapping[tuple[str, ...], CandidateRecord]:
    records, places = dict[tuple[str, ...], CandidateRecord](), Counter[tuple[str, ...]]()
    for record in pass_seen.cycle.candidates:
        candidate = record.candidate
        key = candidate.strategy, candidate.symbol, candidate.purpose.value
        records[*key, str(places[key])] = record
        places[key] += 1
    return records


def _answer(record: CandidateRecord) -> tuple[str, ...]:
    answers = [
        f"{decision.about or decision.gate} {decision.reason or decision.verdict}" for decision in record.decisions
    ]
    return (*answers, "sent" if record.client_order_id else "not sent")


def _where(then: Sequence[str], now: Sequence[str]) -> tuple[str, str]:
    """Return the first result that differs, on both sides."""
    pairs = zip_longest(then, now, fillvalue=NOTHING)
    return next((first, other) for first, other in pairs if first != other)


def _first_otherwise(live: PassSeen, played: PassSeen, key: tuple[str, ...]) -> Decision | None:
    """Return the bot's first decision on a candidate that differs, if that gate ran on both sides, else None."""
    then, now = (_records(pass_seen).get(key) for pass_seen in (live, played))
    if then is None or now is None:
        return None
    for decision, other in zip(then.decisions, now.decisions, strict=False):
        if (decision.gate, decision.verdict, decision.reason) != (other.gate, other.verdict, other.reason):
            return decision if decision.gate is other.gate else None
    return None


def _code(pass_seen: PassSeen, strategy: str) -> str | None:
    """Return the digest of the code that a strategy ran with; None if it didn't run."""
    return pass_seen.proposed.code.get(strategy) if pass_seen.proposed else None


def _lacks_bars(pass_seen: PassSeen, strategy: str, symbol: str) -> bool:
    """Return True if bars that a strategy needs of a symbol were missing."""
    refused = pass_seen.proposed.refused if pass_seen.proposed else ()
    return any(
        (end.strategy, end.decision.gate) == (strategy, Gate.NEEDS) and end.symbol in (symbol, None) for end in refused
    )


def _same_wants(live: PassSeen, played: PassSeen, strategy: str, symbol: str) -> bool:
    """Return True if a strategy had the same wants and the same refusals for a symbol on both sides."""
    return _wants(live, strategy, symbol) == _wants(played, strategy, symbol)


def _wants(pass_seen: PassSeen, strategy: str, symbol: str) -> object:
    if pass_seen.proposed is None:
        return None
    wanted = [
        candidate
        for candidate in pass_seen.proposed.candidates
        if (candidate.strategy, candidate.symbol) == (strategy, symbol)
    ]
    refused = [end for end in pass_seen.proposed.refused if end.strategy == strategy and end.symbol in (symbol, None)]
    return wanted, refused


def _same_price(live: PassSeen, played: PassSeen, symbol: str) -> bool:
    """Return True unless both requested a symbol's quote and got different ones, or only one got one."""
    then, now = live.desk, played.desk
    if symbol in then.rejected_quotes or symbol in now.rejected_quotes:
        return then.rejected_quotes.get(symbol) == now.rejected_quotes.get(symbol)
    # An exit pass only queries positions.
    both_quoted = symbol in then.quotes and symbol in now.quotes
    return not both_quoted or then.quotes[symbol] == now.quotes[symbol]


def _venue_answers(pass_seen: PassSeen) -> object:
    """Return a venue's replies to a pass about the account and its orders, without its own names for these."""
    desk = pass_seen.desk
    orders = (
        (o.client_order_id, o.status, o.quantity, o.filled_quantity, o.limit_price, o.stop_price) for o in desk.orders
    )
    return Counter(orders), desk.net, desk.account, desk.unreadable, desk.steady


def _same_books(live: PassSeen, played: PassSeen) -> bool:
    """Return True if both passes found the same account: positions, working orders, cash and trading state."""
    then, now = live.desk, played.desk
    return (then.book, then.positions, then.state.state, then.account) == (
        now.book, now.positions, now.state.state, now.account,
    )  # fmt: skip


AT_ONCE = frozenset({OrderType.MARKET, OrderType.LIMIT})
"""The order types that may fill at once; a stop waits for its price."""


def at_quotes(live: SessionSide, again: SessionSide, slippage_bps: Decimal) -> SessionSide:
    """Return the replayed passes as a side of the comparison, with the session's requests filled at their quotes.

    A request that rests at the venue, or whose pass had no quote, keeps its actual fills.
    """
    sent = {name: _assume_fills(fills, live, slippage_bps) for name, fills in live.sent.items()}
    return SessionSide(again.passes, sent)


def _assume_fills(fills: RequestWithFills, live: SessionSide, slippage_bps: Decimal) -> RequestWithFills:
    """Return a request with its assumed fills."""
    intent, pass_seen = fills.intent, live.passes.get(fills.slot)
    quote = pass_seen.desk.quotes.get(intent.key.symbol) if pass_seen else None
    if quote is None or intent.operation is not Operation.SUBMIT or intent.protects or not _takes(intent):
        return fills
    touch = quote.ask if intent.side is Side.BUY else quote.bid
    own = [fill for fill in fills.fills if fill.side is intent.side]
    executed = _fill_at(intent, own, touch * (1 + intent.side.sign * slippage_bps / IN_FULL))
    # An attached stop or target rests at the venue.
    attached = [fill for fill in fills.fills if executed and fill.side is not intent.side]
    return fills._replace(fills=(*executed, *attached))


def _takes(intent: Intent) -> bool:
    """Return True if a request is meant to fill at once; a passive entry waits for a better price first."""
    return intent.order_type in AT_ONCE and intent.approach is None


def _fill_at(intent: Intent, own: Sequence[Fill], price: Decimal) -> tuple[Fill, ...]:
    limit = intent.limit_price
    if limit is not None and (price - limit) * intent.side.sign > 0:
        return ()
    # Only the price is assumed; the time of the fill stays the venue's.
    at = max((fill.at for fill in own), default=intent.at)
    name, multiplier = intent.client_order_id, intent.instrument.multiplier
    return (Fill(name, name, intent.key.symbol, intent.side, intent.quantity, price, at, multiplier),)
