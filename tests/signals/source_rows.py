"""Rows as the flow source might send them, made from what each kind documents, and what is known from them.

Rows come from a seed: they are many, and hypothesis would take longer to make them than the tests take to read them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.builders import DAY, NOW, ago
from tradebot.model.flow import FlowPage, FlowWindow, Intake, Quota
from tradebot.model.kind import AnyKind, Scope
from tradebot.model.record import SymbolFacts
from tradebot.signals.alerts import counting, flow_now
from tradebot.signals.components import component_of
from tradebot.signals.formula import evaluate
from tradebot.signals.kinds import kinds
from tradebot.signals.normalize import normalize
from tradebot.signals.scoring import Known

Rows = Sequence[dict[str, object]]
World = Mapping[str, Rows]
Make = Callable[[Random], object]
NO_QUOTA = Quota(None, None, None)
ALL_ALERTS = FlowWindow(timedelta(minutes=30), {}, 0.005, 5)
JUNK: Sequence[object] = (
    None,
    True,
    "",
    "NaN",
    "1e400",
    "soon",
    -1,
    "-0.5",
    10**30,
    Decimal("NaN"),
    Decimal("-Infinity"),
    [],
    {"a": 1},
)
SECTOR = "technology"


def _day(least: int, most: int) -> Callable[[Random], str]:
    return lambda chance: (DAY - timedelta(days=chance.randint(least, most))).isoformat()


def _recent_day(chance: Random) -> str:
    return _day(*chance.choice(((0, 6), (7, 45))))(chance)


def _one_of(*values: object) -> Make:
    return lambda chance: chance.choice(values)


def _time(chance: Random) -> str:
    return ago(chance.randint(0, 2400)).isoformat()


def _identity(chance: Random) -> str:
    return f"id-{chance.getrandbits(48)}"


def _contract(chance: Random) -> str:
    expiry = DAY + timedelta(days=chance.randint(0, 60))
    return f"AAPL{expiry:%y%m%d}{chance.choice('CP')}{chance.randint(50, 150):05d}000"


def _near_money(chance: Random) -> str:
    return f"{chance.randint(9_900, 10_100) / 100:.2f}"


def _amount(chance: Random) -> str:
    return f"{chance.choice((1, 100, 10_000)) * chance.randint(1, 99_999) / 100:.2f}"


def _signed(chance: Random) -> str:
    return f"{chance.randint(-3_000_000, 3_000_000)}.00"


BY_NAME: Mapping[str, Make] = {
    "id": _identity,
    "ticker": _one_of("AAPL"),
    "symbol": _one_of("AAPL"),
    "underlying_symbol": _one_of("AAPL"),
    "option_symbol": _contract,
    "option_chain": _contract,
    "type": _one_of("call", "put"),
    "buy_sell": _one_of("buy", "sell"),
    "txn_type": _one_of("Buy", "Sell"),
    "amounts": _one_of("$1,001 - $15,000", "$15,001 - $50,000"),
    "report_time": _one_of("premarket", "postmarket", "unknown"),
    "trade_settlement": _one_of("regular", None),
    "canceled": _one_of(False),
    "has_multileg": _one_of(False, False, True),
    "delta": _one_of(25),
    "iv_rank_1y": _one_of("0", "12.5", "50", "99.9", "100"),
    "dte": lambda chance: chance.randint(0, 200),
    "expiry": _day(-120, 0),
    "report_date": _day(-20, 5),
    "next_earnings_date": _day(-20, 5),
    "start_date": _day(-20, 5),
    "end_date": _day(-40, 0),
    "date": _recent_day,
    "curr_date": _day(0, 2),
    "market_date": _day(0, 20),
    "filed_at_date": _day(0, 20),
    "transaction_date": _day(20, 40),
    "filing_date": _day(0, 60),
    "unshifted_rv_date": _day(0, 40),
    "nbbo_bid": _near_money,
    "nbbo_ask": _near_money,
    "price": _near_money,
    "strike": _near_money,
    "max_pain": _near_money,
    "close": _near_money,
    "prev_close": _near_money,
    "underlying_price": _near_money,
    "volatility": lambda chance: f"0.{chance.randint(1, 99):02d}",
    "risk_reversal": lambda chance: f"{chance.randint(-50, 90) / 1000:.3f}",
    "oi_diff_plain": lambda chance: chance.randint(-5_000, 5_000),
    "units_change": lambda chance: chance.randint(-5_000, 5_000),
    "change": lambda chance: chance.randint(-5_000, 5_000),
    "net_premium": lambda chance: Decimal(chance.randint(-3_000_000, 3_000_000)),
    "created_at": _time,
    "executed_at": _time,
    "tape_time": _time,
    "timestamp": _time,
    "time": _time,
    "updated_at": _time,
}
BY_TYPE: Mapping[str, Make] = {
    "text": _one_of("one", "another"),
    "decimal": _amount,
    "integer": lambda chance: chance.randint(0, 50_000),
    "number": lambda chance: Decimal(chance.randint(0, 50_000)) / 100,
    "boolean": _one_of(True, False),
    "list": _one_of([]),
    "object": _one_of({}),
}
SIGNED = ("net_", "put_gamma", "gamma_", "vanna_", "charm_")


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 -- replayable on purpose


def row(kind: AnyKind, chance: Random) -> dict[str, object]:
    return {name: _value(name, documented, chance) for name, documented in kind.fields.items()}


def _value(name: str, documented: str, chance: Random) -> object:
    if name in BY_NAME:
        return BY_NAME[name](chance)
    if documented.startswith("decimal") and name.startswith(SIGNED):
        return _signed(chance)
    return BY_TYPE[documented.rstrip("?*")](chance)


def world(seed: int, most: int = 12, names: Collection[str] = ()) -> World:
    chance = seeded(seed)
    return {name: [row(kinds()[name], chance) for _ in range(chance.randint(0, most))] for name in names or kinds()}


def spoiled(rows: World, seed: int) -> World:
    """Return the rows with one field in eight replaced by something that doesn't belong there."""
    chance = seeded(seed)

    def spoil(row: dict[str, object]) -> dict[str, object]:
        return {name: chance.choice(JUNK) if chance.random() < 0.125 else value for name, value in row.items()}

    return {name: [spoil(row) for row in each] for name, each in rows.items()}


def read(name: str, rows: Sequence[object]) -> Intake:
    kind = kinds()[name]
    symbol = "AAPL" if kind.scope in (Scope.SYMBOL, Scope.FUND) else None
    return normalize(kind, FlowPage(name, symbol, tuple(rows), NO_QUOTA), NOW)


def summed_up(name: str, rows: Sequence[object]) -> Any:
    """Return what decisions see of a kind's rows, or None if none of them counts today."""
    kind, facts = kinds()[name], read(name, rows).facts
    since: date = DAY - timedelta(days=kind.past_days)
    lean = [kind.lean(fact) for fact in facts if since <= kind.day(fact) <= DAY]
    return kind.condense(lean) if lean else None


def known_from(rows: World) -> Known:
    symbol: dict[str, object] = {}
    market: dict[str, object] = {}
    for name, each in rows.items():
        value, scope = summed_up(name, each), kinds()[name].scope
        if value is not None:
            of_sector = scope is Scope.SECTOR
            known = symbol if scope in (Scope.SYMBOL, Scope.FUND) else market
            known[name] = {"Technology": value} if of_sector else value
    facts = SymbolFacts("AAPL", symbol, NOW, received=1)
    now = flow_now(facts, counting(NOW, ALL_ALERTS))
    return Known(NOW, ALL_ALERTS.lookback, now.scale_usd, market, facts, now.alerts, now.value, SECTOR, now.lacking)


def value_of(name: str, known: Known) -> float | None:
    return component_of(name).value(known)


def computed(name: str, known: Known) -> float:
    """Return a component's value by its formula, from the inputs that an explanation shows."""
    component = component_of(name)
    return evaluate(component.formula, {each.name: float(each.value) for each in component.inputs(known)})
