"""What something is worth is one function: nothing but `notional` multiplies a quantity by a price."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.package.test_house import CODE, ROOT, modules

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
