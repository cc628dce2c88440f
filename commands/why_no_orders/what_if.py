"""`tradebot why-no-orders --what-if`: replay a recorded pass with changes, and compare the two."""

import os
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from commands.shared.light_helpers import clean
from commands.shared.setting_args import assignments, next_after
from commands.shared.setting_args import values_of as values_typed
from commands.shared.times import MINUTE, when
from commands.why_no_orders.reading import JOB, known_symbol, nothing_of, requested_session, requested_time, too_early
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.app.baseline import values_of
from tradebot.app.what_if_rules import WhatIfRules
from tradebot.app.wiring import App
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.model.record import CycleRecord
from tradebot.model.sentences import format_yaml_scalar, plain
from tradebot.model.struct_tools import replace
from tradebot.replaying.desk_changes import at_time, with_price, with_words, without_position
from tradebot.replaying.hypothetical_ports import decide, with_inputs
from tradebot.replaying.passes import RecordedCycle, RecordEnvironment, bytes_of, read_record
from tradebot.replaying.record_reader import Shared
from tradebot.replaying.record_writer import RecordError
from tradebot.replaying.span_replay import Body
from tradebot.replaying.strategy_replay import StrategyAnswers, Unanswered, WhatIfInputs
from tradebot.views.what_if import WhatIf, WhatIfChange, what_if

OPTION = "--what-if"
BY_PRICE, NO_POSITION, BY_TIME = "price:", "no position:", "at"
EXAMPLES = (
    "write a setting as --what-if limits.max_open_positions=12; or --what-if price:AAPL=230, "
    "--what-if 'no position:MSFT', --what-if at=10:32"
)
HIGHEST = Decimal(10**9)
Values = Sequence[tuple[tuple[str, ...], object]]


class WhatIfChanges(NamedTuple):
    """The changes: settings by their paths, prices by symbol, positions to remove, and the time."""

    settings: Values = ()
    prices: tuple[tuple[str, Decimal], ...] = ()
    gone: tuple[str, ...] = ()
    at: str | None = None


def changes_of(app: App, typed: Sequence[str]) -> WhatIfChanges:
    """Return the typed changes; raise OperatorError for an invalid one, and for a symbol without records."""
    prices, gone, at, settings = dict[str, Decimal](), list[str](), list[str](), list[str]()
    for text in (change.strip() for change in typed):
        if text.startswith(BY_PRICE):
            symbol, price = _parse_price(app, text)
            if symbol in prices:
                raise OperatorError(f"{OPTION} names two prices for {symbol}", "name one")
            prices[symbol] = price
        elif text.startswith((NO_POSITION, NO_POSITION.replace(" ", "-"))):
            gone.append(_symbol(app, text, text.partition(":")[2]))
        elif text.partition("=")[0].strip() == BY_TIME:
            at.append(_time(text))
        elif "=" not in text:
            raise OperatorError(f"{OPTION} {clean(text)[:60]!r} names no change", EXAMPLES)
        else:
            settings.append(text)
    if len(at) > 1:
        raise OperatorError(f"{OPTION} names two times", "name one")
    pairs = [*assignments(settings, OPTION)]
    return WhatIfChanges(values_typed(pairs), tuple(prices.items()), tuple(dict.fromkeys(gone)), at[0] if at else None)


def _parse_price(app: App, text: str) -> tuple[str, Decimal]:
    name, equals, typed = text.removeprefix(BY_PRICE).partition("=")
    try:
        price = Decimal(typed.strip()) if equals else None
    except InvalidOperation:
        price = None
    if price is None or not price.is_finite() or price > HIGHEST:
        raise OperatorError(f"{OPTION} {clean(text)[:60]!r} has no price in USD", f"{OPTION} price:AAPL=230")
    if price <= 0:
        raise OperatorError(f"{OPTION} {clean(text)[:60]!r}: a price must be above zero", f"{OPTION} price:AAPL=230")
    return _symbol(app, text, name), price


def _symbol(app: App, text: str, name: str) -> str:
    if not name.strip():
        raise OperatorError(f"{OPTION} {clean(text)[:60]!r} names no symbol", EXAMPLES)
    return known_symbol(app, name.strip())


def _time(text: str) -> str:
    typed = text.partition("=")[2].strip()
    if not typed:
        raise OperatorError(f"{OPTION} {clean(text)[:60]!r} has no time", f"{OPTION} at=10:32")
    return typed


TOGETHER = "--what-if KEY=VALUE --what-if KEY=VALUE"
AGAIN = "play it again with the change in a file, and compare both: tradebot backtest --config mine.yaml"
AT = "prices, quotes, flow and their ages stay as in the pass; whether a pass would run then isn't checked"
PRICE = "strategies aren't run again at another price"
UNKEPT = "its inputs aren't stored"
NOT_KEPT = "passes are stored as they run, for storage.replay_sessions sessions; tradebot replay replays those"


class WhatIfSubject(NamedTuple):
    """The pass that a what-if is about, and the time to which it is moved, if any."""

    head: CycleRecord
    moved: datetime | None = None


class WhatIfRunner:
    """Replays recorded passes with changes; shared parts of their records are read once."""

    def __init__(self, app: App, changes: WhatIfChanges) -> None:
        self.app, self.changes = app, changes
        self._closing = ExitStack()
        self._shared: Shared = {}
        self._known: dict[RecordEnvironment, WhatIfInputs] = {}
        self.supposing = self._closing.enter_context(WhatIfRules(app.folder.path, os.environ))

    def __enter__(self) -> "WhatIfRunner":
        return self

    def __exit__(self, *raised: object) -> None:
        self._closing.close()

    def instead(self, changes: WhatIfChanges) -> "WhatIfRunner":
        """Return a runner for other changes that shares the records read so far; it is closed when this one is."""
        other = copy(self)
        other.changes, other._known = changes, {}
        return other

    def read_record(self, head: CycleRecord) -> RecordedCycle:
        """Return the record of a pass; raise RecordError if there is none, or if it can't be used."""
        return self.read(self.body(head))

    def body(self, head: CycleRecord) -> Body:
        """Return the stored record of a pass; raise RecordError if there is none."""
        record = self.app.passes.record(head.id)
        if record is None:
            raise RecordError(UNKEPT)
        return record

    def read(self, body: Body, *, only_passing: bool = False, replaced: Collection[str] = ()) -> RecordedCycle:
        """Return a parsed record; raise RecordError if it can't be used."""
        return read_record(*body, self._shared, only_passing=only_passing, replaced=replaced)

    def supposition(self, around: RecordEnvironment) -> WhatIfInputs:
        """Return a record's settings with the changes applied."""
        if around not in self._known:
            try:
                self._known[around] = self.supposing.of(around, self.changes.settings)
            except ConfigurationError as wrong:
                hint = next_after(wrong, self.changes.settings, TOGETHER)
                raise ConfigurationError(wrong.message, hint) from None
        return self._known[around]

    def apply_changes(self, recorded: RecordedCycle) -> tuple[RecordedCycle, frozenset[str]]:
        """Return a record with all changes but the time applied, and the strategies whose result is then unknown."""
        supposed = self.supposition(recorded.surroundings)
        answered, unasked = StrategyAnswers(recorded, supposed.before, self.app.stored).to(
            supposed.strategies, supposed.after
        )
        desk = with_words(answered.given.desk, supposed.after) if self.changes.settings else answered.given.desk
        for symbol in self.changes.gone:
            desk = without_position(desk, symbol)
        for symbol, price in self.changes.prices:
            desk = with_price(desk, symbol, price)
        return with_inputs(answered, desk=desk), unasked


def require_records(app: App) -> None:
    """Raise OperatorError for a backtest, whose passes have no records."""
    if app.folder.kind == BACKTEST:
        raise OperatorError("a backtest keeps no records of what its passes read", AGAIN)


def of_pass(asking: WhatIfRunner, symbol: str | None, session: str | None, at: str | None) -> WhatIf:
    head, moved = requested_pass(asking, symbol, session, at)
    try:
        recorded = asking.read_record(head)
        require_held(asking.changes, held_in(recorded))
        supposed = asking.supposition(recorded.surroundings)
        then = decide(recorded, supposed.before)
        changed, unasked = asking.apply_changes(recorded)
        now = decide(replace(changed, given=at_time(changed.given, moved)) if moved else changed, supposed.after)
    except RecordError as error:
        raise not_kept(head, str(error)) from error
    data = what_if(
        then.cycle,
        now.cycle,
        (then.sent, now.sent),
        [*changes_in(asking, recorded, moved)],
        symbol=symbol,
        left_out=left_out(asking.changes, supposed, moved),
        unasked=sorted(unasked),
    )
    remedy = data.remedy or (_to_make_it_so(asking.changes) if data.lets_through else "")
    return replace(data, remedy=remedy, otherwise=bytes_of(then.cycle) != recorded.outcome)


def left_out(changes: WhatIfChanges, supposed: WhatIfInputs, moved: datetime | None = None) -> list[Unanswered]:
    """Return the changes that a what-if ignores or takes into account only in part."""
    prices = [Unanswered(f"price:{symbol}", PRICE) for symbol, _ in changes.prices]
    return [*supposed.unanswered, *prices, *([Unanswered("at", AT)] if moved else [])]


def _to_make_it_so(changes: WhatIfChanges) -> str:
    """Return how to try a what-if's settings with `config set`; empty if it changes anything else, too."""
    if changes.prices or changes.gone or changes.at or not changes.settings:
        return ""
    pairs = " ".join(f"{'.'.join(path)} {shlex.quote(format_yaml_scalar(value))}" for path, value in changes.settings)
    return f"tradebot config set {pairs} --dry-run shows what that would write"


def not_kept(head: CycleRecord, why: str) -> OperatorError:
    """Return the error for a pass that can't be replayed."""
    hint = NOT_KEPT if why == UNKEPT else f"tradebot replay {head.session} lists the records that can't be used"
    return OperatorError(f"the pass at {when(head.at)} can't be decided again: {why}", hint)


def requested_pass(asking: WhatIfRunner, symbol: str | None, session: str | None, at: str | None) -> WhatIfSubject:
    """Return the requested pass; raise OperatorError if no pass was recorded by that time."""
    app, changes = asking.app, asking.changes
    facts, day = app.existing_facts, requested_session(app, session)
    heads = facts.heads(JOB, session=day) if facts and day else ()
    if facts is None or day is None or not heads:
        raise nothing_recorded(app, day)
    wanted = at or changes.at
    if wanted is None:
        return WhatIfSubject(heads[-1])
    until = requested_time(app, day, wanted)
    cycles = [head for head in heads if head.at <= until]
    if not cycles:
        raise too_early(day, until, heads[0].at, symbol)
    head = cycles[-1]
    if changes.at is None:
        return WhatIfSubject(head)
    until = requested_time(app, day, changes.at)
    began = until.replace(second=0, microsecond=0) if changes.at.count(":") < 2 else until
    _require_open(app, day, until)
    return WhatIfSubject(head, None if began <= head.at <= until else began)


def _require_open(app: App, day: date, at: datetime) -> None:
    sessions = app.ledger_view.sessions(day, day)
    if sessions and not sessions[0].contains(at):
        opens, closes = (when(moment, MINUTE) for moment in (sessions[0].open, sessions[0].close))
        raise OperatorError(
            f"{OPTION} at={when(at, MINUTE)} is outside of session {day}, which is open from {opens} to {closes}",
            "name a time within it, or another session: tradebot why-no-orders --session 2026-11-16 --what-if at=10:32",
        )


def nothing_recorded(app: App, day: date | None) -> OperatorError:
    """Return the error for a session, or a bot, without recorded passes."""
    answer = nothing_of(app, day)
    return OperatorError(answer.sentence, answer.remedy)


def held_in(recorded: RecordedCycle) -> set[str]:
    """Return the symbols in which the account had positions in a pass."""
    return {name for name, shares in recorded.given.desk.net.items() if shares}


def require_held(changes: WhatIfChanges, symbols: Collection[str]) -> None:
    """Raise OperatorError if a position that is to be removed didn't exist."""
    for symbol in changes.gone:
        if symbol not in symbols:
            raise OperatorError(
                f"there was no position in {symbol} then",
                f"held: {', '.join(symbols)}" if symbols else "there was no position: tradebot positions",
            )


def changes_in(
    asking: WhatIfRunner, recorded: RecordedCycle, moved: datetime | None = None, *, each: bool = False
) -> Iterator[WhatIfChange]:
    """Yield what is assumed to be different in a pass, with the recorded value; `moved` is the assumed time.

    With `each`, the changes are for several passes: prices and positions then have no single recorded value.
    """
    changes, desk = asking.changes, recorded.given.desk
    if changes.settings:
        values = values_of(asking.supposing.then(recorded.surroundings).settings)
        for path, value in changes.settings:
            name = ".".join(path)
            yield WhatIfChange(name, _shown_value(values, name), format_yaml_scalar(value))
    for symbol, price in changes.prices:
        quote = desk.quotes.get(symbol)
        before = "" if each else f"{plain(quote.middle)} USD" if quote else "unknown"
        yield WhatIfChange(f"price of {symbol}", before, f"{plain(price)} USD")
    for symbol in changes.gone:
        yield WhatIfChange(f"position in {symbol}", "" if each else plain(desk.net[symbol]), "none")
    if moved:
        yield WhatIfChange("time", when(desk.now), when(moved))


def _shown_value(document: dict[str, Any], name: str) -> str:
    inner = {key.removeprefix(f"{name}."): value for key, value in document.items() if key.startswith(f"{name}.")}
    return format_yaml_scalar(document.get(name, inner or None))
