"""Read executions from a statement of Interactive Brokers: an activity or trade confirmation Flex query, as XML."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from xml.parsers import expat
from zoneinfo import ZoneInfo

from tradebot.adapters.wire.json_fields import RowError
from tradebot.errors import OperatorError
from tradebot.model.order import Executed, Fee, Fill
from tradebot.venues.ibkr.order_reports import SIDES, number, parts_of, positive

ZONE = ZoneInfo("America/New_York")
"""Statements name no zone. This is that of accounts that haven't chosen another one."""
_NEEDS = "the query needs Trades, level Execution, with all fields, dates as yyyyMMdd and times as HHmmss"
_ROWS, _EXECUTION = frozenset({"Trade", "TradeConfirm"}), frozenset({"EXECUTION", ""})


def read(text: bytes, account: str) -> tuple[Executed, ...]:
    """Return the executions of an account, oldest first, each as it was last corrected; OperatorError if unreadable."""
    newest = dict[str, tuple[str, Executed]]()
    try:
        for row in _rows(text, account):
            name, part = parts_of(_text(row, "ibExecID", "execID"))
            if name not in newest or part > newest[name][0]:
                newest[name] = part, Executed(_fill(name, row), row.get("orderReference", ""))
    except (expat.ExpatError, RowError) as error:
        raise OperatorError(f"the statement can't be used: {error}", _NEEDS) from error
    return tuple(sorted((one for _, one in newest.values()), key=lambda one: (one.fill.at, one.fill.activity_id)))


def _rows(text: bytes, account: str) -> list[Mapping[str, str]]:
    """Return the rows of an account's executions of futures."""
    accounts, rows = [""], list[Mapping[str, str]]()

    def begins(tag: str, told: Mapping[str, str]) -> None:
        if tag == "FlexStatement":
            accounts.append(told.get("accountId", ""))
        level = told.get("levelOfDetail", "") in _EXECUTION
        if tag in _ROWS and level and told.get("assetCategory") == "FUT" and accounts[-1] == account:
            rows.append(told)

    def declares(*_: object) -> None:
        raise RowError("file", "declares entities")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EntityDeclHandler = begins, declares
    parser.Parse(text, True)
    if account not in accounts:
        raise RowError("accountId", f"no statement of the account …{account[-4:]}")
    return rows


def _fill(name: str, told: Mapping[str, str]) -> Fill:
    side = SIDES.get(told.get("buySell", ""))
    if side is None:
        raise RowError("buySell", "is neither BUY nor SELL")
    commission = told.get("ibCommission") or told.get("commission")
    currency = told.get("ibCommissionCurrency") or told.get("commissionCurrency") or told.get("currency", "")
    return Fill(
        activity_id=name,
        venue_order_id=told.get("ibOrderID") or told.get("orderID", ""),
        symbol=_text(told, "symbol"),
        side=side,
        quantity=abs(number("quantity", told.get("quantity"))),
        price=positive("tradePrice", told.get("tradePrice") or told.get("price")),
        at=_time(_text(told, "dateTime")),
        multiplier=positive("multiplier", told.get("multiplier") or Decimal(1)),
        fee=Fee(-number("ibCommission", commission), currency) if commission else Fee(None),
    )


def _text(told: Mapping[str, str], *names: str) -> str:
    found = next((told[name] for name in names if told.get(name)), "")
    if not found:
        raise RowError(names[0], "is missing")
    return found


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(re.sub(r"\D", "", text), "%Y%m%d%H%M%S").replace(tzinfo=ZONE).astimezone(UTC)
    except ValueError as error:
        raise RowError("dateTime", f"isn't yyyyMMdd and HHmmss: {text}") from error
