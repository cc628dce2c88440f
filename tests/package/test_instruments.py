"""Only a venue says what an instrument is: the core makes none, and what still looks like a tick or a lot is listed."""

import ast
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.package.test_house import CODE, ROOT, core_modules, modules

MADE_BY_VENUES = tuple(ROOT / "tradebot" / room for room in ("adapters", "app", "lab/backtest", "venues"))
"""Where instruments and listings may be made. The exchange has its own, and imports none of ours."""
NUMBER = re.compile(r"""Decimal\(["'](?:0?\.|1e-|1\.03)""")
OF_A_VENUE = frozenset({"Instrument", "Listing", "TickStep", "MarginLevel"})
READ_FROM_OURS = {"tradebot/model/instrument.py:of_order": "the instrument of an order of ours, which was listed once"}
TO_WHOLE = frozenset({"to_integral_value", "ceil", "floor"})
COUNT = "a count, a rank or a bin, of no instrument"
UNITS = "prices and values in the units of the embedded exchange, on which backtests are played"
ROUNDS = {
    "tradebot/model/instrument.py:on_tick": "rounds to the tick that is listed",
    "tradebot/model/instrument.py:whole_lots": "rounds to the lot that is listed",
    "tradebot/gates/sizing.py:entry_size": "rounds to the lot that is listed",
    "tradebot/reconciliation/activity_booking.py:ratio_of": "a split leaves whole shares, and cash for the rest",
    "tradebot/lab/driver/idle_periods.py:_idle_price_range": UNITS,
    "tradebot/lab/driver/idle_periods.py:_value_range": UNITS,
    "tradebot/lab/driver/idle_periods.py:_untriggered_ranges": UNITS,
    "tradebot/model/venue_day.py:_hours_of_utc_date": "whole hours that a zone is away from UTC",
    "tradebot/auditing/confidence_intervals.py:estimate": COUNT,
    "tradebot/lab/performance/further.py:_of_halts": "percents that people are shown",
    "tradebot/lab/performance/return_figures.py:histogram": COUNT,
    "tradebot/lab/performance/statistics.py:quantile": COUNT,
    "tradebot/lab/selection/verdict.py:block_length": COUNT,
    "tradebot/lab/selection/verdict.py:_optimal": COUNT,
    "tradebot/learning/ensemble.py:round_contracts": "targets in contracts; the core rounds them to the lot after that",
}
"""What rounds a quantity or a price to whole units, and to which."""
DIGITS, SHOWN = "how many digits a computed number keeps", "how many digits people are shown"
SMALL = {
    "tradebot/orders/rehearsal.py:FAR": "a share of the bid, at which the order of a rehearsal can't fill",
    "tradebot/lab/driver/idle_periods.py:TOLERANCE": "a share of a price",
    "tradebot/reconciliation/differences.py:CENT": "cash that differs by less is no finding",
    "tradebot/reconciliation/differences.py:AVERAGE_STEP": "how far a broker may round an average price",
    "tradebot/reconciliation/activity_booking.py:NINE_PLACES": DIGITS,
    "tradebot/model/position.py:(ZERO, NINE_PLACES)": DIGITS,
    "tradebot/desk/want_validation.py:ROUNDING": DIGITS,
    "tradebot/strategies/smart_money/strategy.py:PLACES": DIGITS,
    "tradebot/exits/exit_reasons.py:_SHOWN": SHOWN,
    "tradebot/exits/exit_reasons.py:amount_part": SHOWN,
    "tradebot/lab/performance/backtest_result.py:PERCENT": SHOWN,
    "tradebot/views/trades/pnl.py:CENT": SHOWN,
    "tradebot/views/trades/tax.py:_CENT": SHOWN,
    "tradebot/model/sentences.py:SMALL": SHOWN,
    "tradebot/lab/learn/knobs.py:PLACES": "digits of a setting that is proposed",
    "tradebot/lab/learn/learn.py:PLACES": "digits of a score",
    "tradebot/views/trades/trades.py:(_SIX_PLACES, _CENTS)": SHOWN,
}
"""Numbers that could be taken for a tick, and what they are."""


def places(tree: ast.Module, place: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a module with where it is: its function, or the name that its value gets."""
    for outer in tree.body:
        inner = outer.body if isinstance(outer, ast.ClassDef) else [outer]
        for node in inner:
            name = getattr(node, "name", "")
            if isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                name = ", ".join(ast.unparse(target) for target in targets)
            yield from ((f"{place}:{name}", call) for call in ast.walk(node) if isinstance(call, ast.Call))


def called(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def makes(text: str, place: str) -> Iterator[str]:
    """Yield where a module makes something that only a venue can know."""
    if any(f"{name}(" in text for name in OF_A_VENUE):
        yield from (where for where, call in places(ast.parse(text), place) if called(call) in OF_A_VENUE)


def rounds(text: str, place: str) -> Iterator[str]:
    if any(f"{name}(" in text for name in TO_WHOLE):
        yield from (where for where, call in places(ast.parse(text), place) if called(call) in TO_WHOLE)


def small(text: str, place: str) -> Iterator[str]:
    """Yield where a module names a power of ten below one, or what Alpaca reserves for a short sale."""
    if not NUMBER.search(text):
        return
    for where, call in places(ast.parse(text), place):
        given = call.args[0] if call.args else None
        if called(call) == "Decimal" and isinstance(given, ast.Constant) and isinstance(given.value, str):
            number = Decimal(given.value)
            if number == Decimal("1.03") or (0 < number < 1 and number.normalize().as_tuple().digits == (1,)):
                yield where


def found(rule: Callable[[str, str], Iterator[str]], paths: list[Path]) -> set[str]:
    return {where for path in paths for where in rule(path.read_text(), str(path.relative_to(ROOT)))}


def everything_else() -> list[Path]:
    every = modules("tradebot", "commands", "jobs")
    return [path for path in every if not any(path.is_relative_to(room) for room in MADE_BY_VENUES)]


def test_nobody_but_a_venue_makes_an_instrument() -> None:
    assert found(makes, everything_else()) == READ_FROM_OURS.keys()


def test_what_rounds_to_whole_units_goes_by_the_listing() -> None:
    assert found(rounds, core_modules()) == ROUNDS.keys()


def test_each_number_that_looks_like_a_tick_is_none() -> None:
    assert found(small, core_modules()) == SMALL.keys()


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (makes, "close", "def close():\n    return instrument.Instrument(symbol='AAPL')"),
        (makes, "close", "class A:\n    def close(self):\n        return [Instrument(symbol=s) for s in ()]"),
        (makes, "SHARE", "SHARE = Listing(of, (TickStep(0, 1),), 1, at)"),
        (rounds, "close", "def close():\n    return (price / tick).to_integral_value()"),
        (rounds, "close", "def close():\n    return math.floor(price / tick)"),
        (small, "SUB_DOLLAR_TICK", "SUB_DOLLAR_TICK = Decimal('0.0001')"),
        (small, "close", "def close():\n    return price - Decimal('0.01')"),
        (small, "SHORT_MARKUP", "SHORT_MARKUP = Decimal('1.03')"),
    ],
)
def test_a_rule_finds_what_it_forbids(rule: Callable[[str, str], Iterator[str]], name: str, text: str) -> None:
    assert {where.partition(":")[2] for where in rule(text, "a.py")} <= {
        "close",
        "SHARE",
        "SUB_DOLLAR_TICK",
        "SHORT_MARKUP",
    }
    assert list(rule(text, "a.py"))


QUANTITIES = frozenset({"quantity", "quantities", "qty", "shares", "contracts", "lots", "signed", "opened", "closed"})
PRICES = frozenset({"price", "prices", "mid", "middle", "mark", "marks", "bid", "ask", "last", "average", "paid"})
"""What quantities and prices are called in this code: one of these words is in their names."""
PRODUCT = re.compile(r"[\w)\]] \*=? ")
"""What every product of two values has, once it is formatted."""
APART = ("tradebot/adapters/", "tradebot/venues/", "exchange/src/papervenue/")
"""Adapters translate what a venue says, and the exchange imports nothing of ours."""
ALLOWED = {
    "tradebot/model/instrument.py:notional": "the one place",
    "tradebot/lab/driver/price_triggers.py:first_touch": "whole numbers, in a loop over every price of a backtest",
    "tradebot/lab/learning/arrays/engine_choice.py:fill": "whole ticks and cents, compared with the road to the cent",
    "tradebot/lab/learning/arrays/engine_choice.py:state": "whole ticks and cents, compared with the road to the cent",
}


def factors(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the factors of a product, or what isn't one as it is."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from (*factors(node.left), *factors(node.right))
    else:
        yield node


def words(node: ast.expr) -> set[str]:
    """Return the words in all names of an expression."""
    names = (each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in ast.walk(node))
    return {word for name in names for word in name.lower().split("_")}


def is_worth(node: ast.BinOp | ast.AugAssign) -> bool:
    """Return True if a product has a quantity and, in another factor, a price."""
    product = node if isinstance(node, ast.BinOp) else ast.BinOp(node.target, node.op, node.value)
    found = [words(factor) for factor in factors(product)]
    return any(one & QUANTITIES and other & PRICES for one in found for other in found if one is not other)


def worths(source: str) -> set[str]:
    """Return the names of the functions that multiply a quantity by a price; "" stands for the module itself."""
    # Most modules multiply nothing, and parsing them would take most of the time.
    if not PRODUCT.search(source):
        return set()
    nodes, found = list(ast.walk(ast.parse(source))), set[str]()
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    for node in nodes:
        if isinstance(node, ast.BinOp | ast.AugAssign) and is_worth(node):
            around = [each for each in functions if each.lineno <= node.lineno <= (each.end_lineno or 0)]
            found.add(around[-1].name if around else "")
    return found


@pytest.mark.parametrize(
    "line",
    [
        "spent += fill.signed_quantity * fill.price",
        "usd = abs(one.signed) * order_price(one.order, prices)",
        "gain = lot.side.sign * lot.quantity * (mark - lot.entry_price)",
        "value = Fraction(sale.price) * sale.shares",
        "shares *= usd(traded.price)",
        "total = [position.quantity * marks[position.symbol] for position in positions]",
    ],
)
def test_the_law_sees_a_worth_however_it_is_written(line: str) -> None:
    assert worths(line) == {""}


@pytest.mark.parametrize(
    "line", ["filled * side.sign", "price * (1 + offset)", "held.direction * level", "ticks * tick"]
)
def test_the_law_leaves_other_products_alone(line: str) -> None:
    assert worths(line) == set()


def test_nothing_but_notional_multiplies_a_quantity_by_a_price() -> None:
    paths = [(path, path.relative_to(ROOT).as_posix()) for path in modules(*CODE)]
    found = {
        f"{name}:{function}"
        for path, name in paths
        if not name.startswith(APART)
        for function in worths(path.read_text())
    }
    assert found == set(ALLOWED)
