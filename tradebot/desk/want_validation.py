"""Check a strategy's result before it is used: one invalid want makes the whole result invalid."""

from collections.abc import Callable, Iterable, Mapping, Sized
from decimal import Decimal
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, TypeGuard

from msgspec import Struct

from tradebot.model.candidate import STRATEGY_SOURCE, Component, OptionContract, ScaleOutLevel, Side
from tradebot.model.decision import UNITS, Decision, Gate, Verdict
from tradebot.model.reasons import POLICY_REASONS, SETUP_REASONS, Reason
from tradebot.model.view import Close, Open, Reduce, StrategyView, Target, Want

if TYPE_CHECKING:
    # Importing pydantic is slow, and every process of a plug-in would wait for it.
    from tradebot.model.limits import TargetBounds

OWN_SOURCE = frozenset({STRATEGY_SOURCE})
MAX_TEXT = 200
"""The longest text a strategy may return, in characters."""
MOST_PARTS = 50
"""The most components, or decisions of its own, that one want may have."""
MOST_LEVELS = 10
"""The most levels at which a position may be closed in parts."""
MOST_HELD_S = 3660 * 86_400
"""The longest that a strategy may expect to hold a position: ten years, in seconds."""
MOST_ALERTS = 1000
MOST_WEIGHT = 10
"""The largest weight of a target; limits apply long before."""
MOST_SHARES = Decimal(10) ** 12
ROUNDING = Decimal("1e-9")
"""How far weights may exceed their allowed sum."""
MOST_DIGITS, MOST_PLACES = 200, 60
"""The most digits of a Decimal, and the most places between its first digit and the decimal point."""

OWN_REASONS = frozenset(
    {
        Reason.NO_DIRECTION,
        Reason.FAMILIES_TOO_FEW,
        Reason.LONG_ONLY,
        Reason.CLUSTER_TOO_SMALL,
        Reason.CANDIDATE_STALE,
        Reason.STRATEGY_DECLINED,
        Reason.RANKED_TOO_FEW,
        *SETUP_REASONS,
        *POLICY_REASONS,
    }
)
"""Reasons a strategy may give for refusing its own want; only gates may give the others."""


def validate_wants(
    view: StrategyView, answer: object, sources: frozenset[str] = OWN_SOURCE
) -> tuple[Want, ...] | Decision:
    """Return a strategy's wants, or its own decision that it can't determine them, or why its whole result is
    refused.
    """
    if is_refusal(answer):
        return answer
    if not isinstance(answer, Iterable):
        return _refusal(Reason.STRATEGY_INVALID, f"expected a sequence of wants, got {type(answer).__name__}")
    symbols = frozenset((*view.universe, *view.lots))
    limit = len(symbols)
    # The result may be endless, so read only one want beyond the limit.
    wants = tuple(islice(answer, limit + 1))
    if not wants:
        return wants
    if len(wants) > limit:
        observed = len(answer) if isinstance(answer, Sized) else len(wants)
        return _refusal(Reason.STRATEGY_TOO_MANY, observed, limit)
    allowed, seen_symbols = _Allowed(frozenset(view.universe), frozenset(view.lots), sources), set[str]()
    for want in wants:
        fault = allowed.fault(want) or ("its symbol appears twice" if want.symbol in seen_symbols else None)
        if fault:
            return _refusal(Reason.STRATEGY_INVALID, f"{_describe(want)}: {fault}")
        seen_symbols.add(want.symbol)
    return wants


def reject_excess_wants(wants: Iterable[Want], most: "TargetBounds") -> Decision | None:
    """Refuse a result if its targets exceed the bounds in its strategy's section; otherwise return None."""
    targets = [want for want in wants if isinstance(want, Target) and (want.weight or want.quantity)]
    weights = [abs(want.weight or Decimal(0)) for want in targets]
    bounds = (
        ("a weight of {:.4g}", "symbol_fraction", max(weights, default=Decimal(0)), most.symbol_fraction),
        ("weights of {:.4g} together", "gross_fraction", sum(weights, Decimal(0)), most.gross_fraction),
        ("{} symbols", "positions", Decimal(len(targets)), most.positions),
    )
    for text, name, value, declared in bounds:
        if value - declared > ROUNDING:
            why = f"its targets ask for {text.format(value)}, but its section declares wants.{name}: {declared}"
            return _refusal(Reason.STRATEGY_INVALID, why)
    return None


def is_refusal(answer: object) -> TypeGuard[Decision]:
    """Return True for a strategy's own decision that it can't determine its wants."""
    return _is_own_decision(answer) and not answer.passed


class _Allowed(Struct, frozen=True):
    """The symbols one strategy may name, and the sources its wants may have."""

    universe: frozenset[str]
    held: frozenset[str]
    sources: frozenset[str]

    def fault(self, want: Want) -> str | None:
        """Return the first rule that a want breaks; None if it is valid."""
        # A subclass could give different values each time it is read.
        rules = _RULES.get(type(want))
        if rules is None:
            return "it is not an Open, a Target, a Reduce or a Close"
        return next((fault for fault, holds in rules if not holds(want, self)), None)


def _in(symbol: object, symbols: frozenset[str]) -> bool:
    return type(symbol) is str and symbol in symbols


def _is_decimal(value: object) -> TypeGuard[Decimal]:
    """Return True for a finite Decimal that can be stored."""
    if type(value) is not Decimal or not value.is_finite():
        return False
    return abs(value.adjusted()) <= MOST_PLACES and len(value.as_tuple().digits) <= MOST_DIGITS


def _is_signed(value: object, most: int | Decimal) -> bool:
    return value is None or (_is_decimal(value) and abs(value) <= most)


def _is_quantity(value: object) -> bool:
    return _is_decimal(value) and 0 < value <= MOST_SHARES


def _is_distance(value: object, most: int) -> bool:
    return value is None or (_is_decimal(value) and 0 < value < most)


def _is_hold(value: object) -> bool:
    return value is None or (type(value) is int and 0 < value <= MOST_HELD_S)


def _is_contract(item: object) -> bool:
    return type(item) is OptionContract and _is_decimal(item.net_premium) and len(item.alerts) <= MOST_ALERTS


def _are_levels(items: object) -> bool:
    """Return True for levels at which a position is closed in parts, as a list of exits may have them."""
    if type(items) is not tuple or len(items) > MOST_LEVELS or not all(map(_is_level, items)):
        return False
    rising = all(a.fraction < b.fraction for a, b in pairwise(items))
    return rising and sum((item.share for item in items), Decimal(0)) <= 1


def _is_level(item: object) -> bool:
    if type(item) is not ScaleOutLevel or not (_is_decimal(item.fraction) and _is_decimal(item.share)):
        return False
    return 0 < item.fraction < 10 and 0 < item.share <= 1


def _optional(value: object, low: int) -> bool:
    return value is None or _within(value, low, 1)


def _within(value: object, low: float, high: float) -> bool:
    """Return True if a number is within bounds; NaN never is."""
    return type(value) in (float, int) and low <= value <= high  # type: ignore[operator]


def _is_finite(value: object) -> bool:
    return _within(value, -1e15, 1e15)


def _each(items: object, holds: Callable[[object], bool]) -> bool:
    return type(items) is tuple and len(items) <= MOST_PARTS and all(map(holds, items))


def _is_component(item: object) -> bool:
    return (
        type(item) is Component
        and _is_text(item.name)
        and _optional(item.value, -1)
        and _within(item.weight, 0, 100)
        and _is_text(item.source)
    )


def _is_own_decision(item: object) -> TypeGuard[Decision]:
    return (
        type(item) is Decision
        and item.gate is Gate.STRATEGY
        and type(item.verdict) is Verdict
        and (item.reason in OWN_REASONS or (item.passed and item.reason is None))
        and all(value is None or _is_finite(value) or _is_text(value) for value in (item.observed, item.limit))
        and (item.age_s is None or _is_finite(item.age_s))
        and _is_text(item.about)
        and (item.unit == "" or item.unit in UNITS)
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _describe(want: object) -> str:
    return repr(want.symbol if type(want) in (Open, Target, Reduce, Close) else want)[:40]  # type: ignore[attr-defined]


def _refusal(reason: Reason, observed: int | str, limit: int | None = None) -> Decision:
    return Decision(Gate.STRATEGY, Verdict.FAIL, reason, observed, limit)


Rules = tuple[tuple[str, Callable[[Any, _Allowed], bool]], ...]
"""The requirements of one kind of want. Types come first, because a strategy may return anything."""
_CLOSE: Rules = (
    ("the strategy doesn't hold its symbol", lambda want, may: _in(want.symbol, may.held)),
    (
        "its reason is not a text of 1 to 200 characters",
        lambda want, may: _is_text(want.why) and bool(want.why.strip()),
    ),
)
_OPEN: Rules = (
    ("its symbol is not in the universe", lambda want, may: _in(want.symbol, may.universe)),
    ("its side is not a Side", lambda want, may: type(want.side) is Side),
    ("its score is not between -1 and 1", lambda want, may: _within(want.score, -1, 1)),
    ("its score and its side disagree", lambda want, may: want.score * want.side.sign >= 0),
    ("its coverage is not between 0 and 1", lambda want, may: _optional(want.coverage, 0)),
    ("its components are not all valid", lambda want, may: _each(want.components, _is_component)),
    ("its quantity is not a Decimal above 0", lambda want, may: want.quantity is None or _is_quantity(want.quantity)),
    ("its stop is not a Decimal between 0 and 1", lambda want, may: _is_distance(want.stop_loss_fraction, 1)),
    ("its target is not a Decimal between 0 and 10", lambda want, may: _is_distance(want.profit_target_fraction, 10)),
    ("its average true range is not a Decimal between 0 and 1", lambda want, may: _is_distance(want.atr_fraction, 1)),
    (
        "its invalid distance is not a Decimal between 0 and 1",
        lambda want, may: _is_distance(want.invalid_fraction, 1),
    ),
    ("its targets are not rising levels whose shares add up to at most 1", lambda want, may: _are_levels(want.targets)),
    ("its hold is not a number of seconds above 0", lambda want, may: _is_hold(want.hold_s)),
    ("its contracts are not all valid", lambda want, may: _each(want.contracts, _is_contract)),
    ("its cluster is not a text of at most 200 characters", lambda want, may: _is_text(want.cluster)),
    ("its source is not 'strategy'", lambda want, may: any(want.source == source for source in may.sources)),
    (
        "its decisions include one that a strategy may not make",
        lambda want, may: _each(want.decisions, _is_own_decision),
    ),
)
_TARGET: Rules = (
    ("its symbol is not in the universe", lambda want, may: _in(want.symbol, may.universe | may.held)),
    ("it needs a weight or a quantity, not both", lambda want, may: (want.weight is None) != (want.quantity is None)),
    ("its weight is not a Decimal between -10 and 10", lambda want, may: _is_signed(want.weight, MOST_WEIGHT)),
    (
        "its quantity is not a Decimal of at most a trillion shares",
        lambda want, may: _is_signed(want.quantity, MOST_SHARES),
    ),
    ("its score is not between -1 and 1", lambda want, may: _optional(want.score, -1)),
    (
        "its decisions include one that a strategy may not make",
        lambda want, may: _each(want.decisions, _is_own_decision),
    ),
)
_REDUCE: Rules = (*_CLOSE, ("its quantity is not a Decimal above 0", lambda want, may: _is_quantity(want.quantity)))
_RULES: Mapping[type, Rules] = {Open: _OPEN, Target: _TARGET, Reduce: _REDUCE, Close: _CLOSE}
