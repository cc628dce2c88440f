"""Define a component of the flow score and its inputs.

A formula is text that a person can read and a program can compute, in Python's notation. It may use numbers, names of
inputs, + - * / **, comparisons, `a if condition else b`, and the functions below.
"""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from math import exp, log10, sqrt, tanh
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct

from tradebot.model.candidate import Input
from tradebot.model.fact_kind import NEW_YORK, AnyKind, Kind
from tradebot.model.flow import FlowAlert
from tradebot.model.record import SymbolFacts


def clamp(value: float, low: float, high: float) -> float:
    """Return the value, limited to the range from `low` to `high`."""
    if value < high:
        return value if value > low else low
    return high


def sign(value: float) -> int:
    """Return the sign of a value: +1, -1 or 0."""
    return (value > 0) - (value < 0)


FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "abs": abs, "clamp": clamp, "exp": exp, "log10": log10, "max": max, "min": min, "sign": sign, "sqrt": sqrt,
    "tanh": tanh,
}  # fmt: skip

"""The functions available in formulas, by name."""

_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)

_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)


def evaluate(formula: str, inputs: Mapping[str, float]) -> float:
    """Return the value of a formula.

    Raise KeyError for an unknown input, ValueError for an invalid formula, and ArithmeticError if there is no result,
    such as for a division by zero.
    """
    read = names(formula)
    return compile_formula(formula, read)(*(inputs[name] for name in read))


@cache
def names(formula: str) -> tuple[str, ...]:
    """Return the names of the inputs that a formula reads, sorted. Raise ValueError for an invalid formula."""
    names = {node.id for node in ast.walk(_parse_formula(formula)) if isinstance(node, ast.Name)}
    return tuple(sorted(names - FUNCTIONS.keys()))


@cache
def compile_formula(formula: str, parameters: tuple[str, ...]) -> Callable[..., float]:
    """Compile a formula to a function of its inputs, in the order of `parameters`.

    Raise ValueError if it is invalid.
    """
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(name) for name in parameters], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    body = ast.Call(ast.Name("float", ast.Load()), [_parse_formula(formula)], [])
    function = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, body)))
    # Only arithmetic passes the check, and nothing but these functions is accessible.
    scope = {"__builtins__": {}, "float": float, **FUNCTIONS}
    compiled: Callable[..., float] = eval(compile(function, formula, "eval"), scope)  # noqa: S307
    return compiled


def _parse_formula(formula: str) -> ast.expr:
    try:
        tree = ast.parse(formula, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{formula!r} isn't a valid formula") from error
    _check(tree)
    return tree


def _check(node: ast.AST) -> None:
    """Raise ValueError unless a node and all below it are arithmetic over numbers, names and the functions."""
    match node:
        case ast.Constant(value=int() | float()) | ast.Name():
            parts: list[ast.expr] = []
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _ARITHMETIC):
            parts = [left, right]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if isinstance(op, _COMPARISONS):
            parts = [left, right]
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            parts = [test, body, otherwise]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            parts = arguments
        case _:
            raise ValueError(f"{ast.unparse(node)!r} isn't allowed in a formula")
    for part in parts:
        _check(part)


def is_fresh(kind: AnyKind, moment: datetime | date, now: datetime) -> bool:
    """Return True if a fact is within its freshness limit; the age of a date counts from that day's end in New York."""
    if kind.max_age_s is None:
        return True
    if isinstance(moment, datetime):
        return (now - moment).total_seconds() <= kind.max_age_s
    return _since_end_of(moment, now) <= kind.max_age_s


@lru_cache(maxsize=64)
def _since_end_of(day: date, now: datetime) -> float:
    """Return how many seconds ago a New York date ended.

    Cached, because most symbols' facts have the same few dates.
    """
    return (now - datetime.combine(day + timedelta(days=1), time(), NEW_YORK).astimezone(UTC)).total_seconds()


USD = "USD"


class ScoringInputs(NamedTuple):
    """The data about one symbol, and the market, for scoring the symbol.

    `alerts` are the selected alerts, and `flow` is their score from -1 to 1. The score is None without a usable reply
    about this symbol, or if too little is known of its trailing premium. `scale_usd` is the premium that its alerts are
    compared with, and `lacking` counts the alerts without a field that a filter reads. `sector` is the symbol's, as
    named in the configuration. Facts older than `lookback` don't count.
    """

    now: datetime
    lookback: timedelta
    market: Mapping[str, object]
    facts: SymbolFacts
    sector: str = ""
    alerts: Sequence[FlowAlert] = ()
    lacking: int = 0
    scale_usd: float | None = None
    flow: float | None = None

    @property
    def direction(self) -> int:
        """Return the direction of the flow: +1, -1 or 0."""
        return 0 if not self.flow else (1 if self.flow > 0 else -1)


class NumberFormat(NamedTuple):
    """How to show a number: its unit, and which fields have its time and its row's id, if any."""

    unit: str
    at: str = ""
    row: str = ""


def number_formats(unit: str, *names: str, at: str = "") -> Mapping[str, NumberFormat]:
    """Return a format for each named number; all have the same unit and the same field with their time."""
    return dict.fromkeys(names, NumberFormat(unit, at))


class ScoreComponent(Struct, frozen=True, eq=False):
    """A component of the flow score, declared once; its value, explanation and documentation follow from this.

    `name` is used by weights and explanations. `reads` are the kinds of facts that it is computed from. `looks_at`
    returns an object whose fields are the numbers from which the value is computed, or None if they are unknown.
    `shows` has the unit of each field that an explanation shows. `formula` computes the value from these fields, in the
    notation of signals/scoring.py. If a field that it reads is None, or the arithmetic has no result, the value is
    None: absent. Absent isn't zero: a fetch that found no alerts is a flow of zero, and no fetch at all is None.

    A value is from -1 to 1. `sign` says what is bullish, and `absent` why there is no value. `after` is the formula's
    source, and `evidence` who found that it predicts returns; without evidence, a component is off by default.
    `inferred` says what it relies on although the source doesn't define it. `source` is a short description of the
    inputs, usually the alerts, and `details` yields inputs that are too many to be fields. `computed` returns the value
    if it was computed before.

    Components of one `family` measure the same thing in different ways: an entry requires several families that agree.
    A component that `follows` another is a fraction of that component's value and absent if that is absent, so it
    doesn't count as separate evidence; its formula may read `flow`. A component that is `by_symbol` looks up its symbol
    in facts about the whole market, so that its value differs from symbol to symbol.
    """

    name: str
    family: str
    reads: tuple[AnyKind, ...]
    sign: str
    formula: str
    absent: str
    looks_at: Callable[[ScoringInputs], object | None]
    shows: Mapping[str, NumberFormat]
    source: Callable[[ScoringInputs], str] = lambda inputs: f"{len(inputs.alerts)} alerts"
    after: str = ""
    evidence: str = ""
    follows: str = ""
    inferred: str = ""
    by_symbol: bool = False
    details: Callable[[ScoringInputs], Iterable[Input]] = lambda inputs: ()
    computed: Callable[[ScoringInputs], float | None] | None = None

    @property
    def market_wide(self) -> bool:
        return not self.by_symbol and all(kind.market_wide for kind in self.reads)

    def valuer(self) -> Callable[[ScoringInputs], float | None]:
        """Return the function that computes the value (None if it is absent), for use on many symbols."""
        if self.computed:
            return self.computed
        looks_at, follows = self.looks_at, bool(self.follows)
        read = tuple(name for name in names(self.formula) if name != "flow" or not follows)
        fields: Callable[[Any], Any] = attrgetter(*read)
        compute = compile_formula(self.formula, ("flow", *read) if follows else read)
        several = len(read) > 1

        def value(inputs: ScoringInputs) -> float | None:
            if follows and not inputs.flow:
                return None
            facts = looks_at(inputs)
            if facts is None:
                return None
            numbers = fields(facts) if several else (fields(facts),)
            if None in numbers:
                return None
            try:
                result = compute(inputs.flow, *map(float, numbers)) if follows else compute(*map(float, numbers))
            except ArithmeticError:
                return None
            return result or 0.0  # zero has no sign

        return value

    def value(self, inputs: ScoringInputs) -> float | None:
        return self.valuer()(inputs)

    def inputs(self, scoring_inputs: ScoringInputs) -> Iterator[Input]:
        """Yield the known inputs with their units, under the names that the formula uses."""
        if self.follows and scoring_inputs.flow is not None:
            yield Input("flow", scoring_inputs.flow, "-1 to 1")
        facts = self.looks_at(scoring_inputs)
        if facts is not None:
            for name, number_format in self.shows.items():
                number = getattr(facts, name)
                if number is not None:
                    at = attrgetter(number_format.at)(facts) if number_format.at else None
                    yield Input(name, number, number_format.unit, at, _row(facts, number_format.row))
        yield from self.details(scoring_inputs)


def _row(facts: object, field: str) -> str:
    value = attrgetter(field)(facts) if field else ""
    return value.isoformat() if isinstance(value, date) else str(value)


def latest(kind: Kind[Any, Any, Any]) -> Callable[[ScoringInputs], Any]:
    """Return a function that finds the newest fact of a kind about the symbol."""
    name = kind.name
    return lambda inputs: inputs.facts.known.get(name)


def recent(kind: Kind[Any, Any, Any], at: str = "date") -> Callable[[ScoringInputs], Any]:
    """Return a function that finds the newest fact of a kind about the symbol, unless its field `at` is too old."""
    name, moment = kind.name, attrgetter(at)

    def look(inputs: ScoringInputs) -> Any:
        facts = inputs.facts.known.get(name)
        return facts if facts is not None and is_fresh(kind, moment(facts), inputs.now) else None

    return look


def count_of(look: Callable[[ScoringInputs], Any], field: str, words: str) -> Callable[[ScoringInputs], str]:
    """Return a function that describes how many facts a value was computed from, such as "5 earlier sessions"."""
    return lambda inputs: f"{0 if (fact := look(inputs)) is None else getattr(fact, field)} {words}"
