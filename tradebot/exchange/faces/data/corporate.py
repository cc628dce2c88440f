"""Serve Alpaca's GET /v1/corporate-actions: declared actions by type, in order of their process date."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from tradebot.exchange.faces.data.asking import params_of, read_token, refused, token_of
from tradebot.exchange.faces.data.rows import Row
from tradebot.exchange.faces.web import Call, Handler, Reply, ok
from tradebot.exchange.market.actions import (
    CASH_MERGER,
    DIVIDEND,
    FORWARD_SPLIT,
    KINDS,
    NAME_CHANGE,
    REVERSE_SPLIT,
    Action,
    cusip_of,
)
from tradebot.exchange.market.bars import Market
from tradebot.exchange.params import Params
from tradebot.exchange.times import new_york_date

_TYPES = (
    *KINDS,
    *("unit_split", "stock_dividend", "spin_off", "stock_merger", "stock_and_cash_merger", "redemption"),
    *("worthless_removal", "rights_distribution", "partial_call", "reorganization"),
)
_DEFAULT_LIMIT, _MOST_ACTIONS = 100, 1000


def corporate_actions(market: Market, now_us: Callable[[], int]) -> Handler:
    """Return the handler for a market's actions."""

    def answer(call: Call) -> Reply:
        params, now = params_of(call), now_us()
        limit = params.count("limit", _DEFAULT_LIMIT, _MOST_ACTIONS)
        newest_first = params.choice("sort", ("asc", "desc")) == "desc"
        matches = _matcher(params, new_york_date(now))
        actions = sorted(filter(matches, market.actions.known(now)), key=attrgetter("process_date", "id"))
        rows = _after(actions[::-1] if newest_first else actions, params.read("page_token", read_token))
        page, more = rows[:limit], rows[limit:]
        grouped: dict[str, list[Row]] = {}
        for action in page:
            grouped.setdefault(f"{action.kind}s", []).append(action_json(action))
        return ok({"corporate_actions": grouped, "next_page_token": token_of(page[-1].id, 0) if more else None})

    return answer


def _after(actions: list[Action], token: tuple[str, int] | None) -> list[Action]:
    if token is None:
        return actions
    places = [place for place, action in enumerate(actions) if action.id == token[0]]
    if not places:
        raise refused("page_token")
    return actions[places[0] + 1 :]


def _matcher(params: Params, today: str) -> Callable[[Action], bool]:
    """Return the test for a request's filters; ids exclude all other filters."""
    ids, symbols, types = params.words("ids"), params.words("symbols"), params.words("types")
    unknown = [kind for kind in types if kind not in _TYPES]
    if unknown:
        raise refused(f"types: {unknown[0][:30]}")
    region = params.choice("region", ("us", "non_us", "all"))
    cusips = params.words("cusips")
    if ids:
        if symbols or types or params.text("start") or params.text("end"):
            raise refused("ids: it excludes symbols, types, start and end")
        return lambda action: action.id in ids
    start, end = params.date("start") or today, params.date("end") or today
    return lambda action: (
        region != "non_us"
        and start <= action.process_date <= end
        and (not symbols or bool({action.symbol, action.new_symbol} & set(symbols)))
        and (not types or action.kind in types)
        and (not cusips or cusip_of(action.symbol) in cusips)
    )


def action_json(action: Action) -> Row:
    return {"id": action.id, "process_date": action.process_date, **_BY_KIND[action.kind](action)}


def _dividend(action: Action) -> Row:
    return {
        **_shares(action),
        "rate": float(action.rate),
        "special": False,
        "foreign": False,
        "payable_date": action.payable_date,
    }


def _forward_split(action: Action) -> Row:
    return {**_shares(action), **_rates(action), "payable_date": action.payable_date}


def _reverse_split(action: Action) -> Row:
    rest = {name: value for name, value in _shares(action).items() if name != "cusip"}
    cusip = cusip_of(action.symbol)
    return {**rest, **_rates(action), "old_cusip": cusip, "new_cusip": cusip}


def _shares(action: Action) -> Row:
    record = {"record_date": action.record_date} if action.record_date else {}
    return {"symbol": action.symbol, "cusip": cusip_of(action.symbol), "ex_date": action.ex_date, **record}


def _rates(action: Action) -> Row:
    return {"new_rate": float(action.new_rate), "old_rate": float(action.old_rate)}


def _name_change(action: Action) -> Row:
    return {
        "old_symbol": action.symbol,
        "old_cusip": cusip_of(action.symbol),
        "new_symbol": action.new_symbol,
        "new_cusip": cusip_of(action.new_symbol),
    }


def _cash_merger(action: Action) -> Row:
    return {
        "acquiree_symbol": action.symbol,
        "acquiree_cusip": cusip_of(action.symbol),
        "rate": float(action.rate),
        "effective_date": action.ex_date,
        "payable_date": action.payable_date,
    }


_BY_KIND: dict[str, Callable[[Action], Row]] = {
    DIVIDEND: _dividend,
    FORWARD_SPLIT: _forward_split,
    REVERSE_SPLIT: _reverse_split,
    NAME_CHANGE: _name_change,
    CASH_MERGER: _cash_merger,
}
