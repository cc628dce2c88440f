"""List everything that a backtest assumes, with its value, and what is optimistic about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from papervenue.market.spec import NO_COSTS, OPTIMISM, Costs, MarketSpec, Posted, Rate
from papervenue.market.venue import Venue
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from tradebot.app.settings import Settings
    from tradebot.lab.backtest.run import BacktestPlan

FREE = "none"
_POSTED: Mapping[Posted, tuple[str, str]] = {
    "session": ("before each session", "the interest of the last night isn't in the result"),
    "month": ("before the first session of each month", "interest since the last posting isn't in the result"),
}


class Assumption(Struct, frozen=True):
    """One assumption: a short name for programs, its value, and an optional comment.

    If `is_loud` is set, the assumption is so strong that the result doesn't show what trading would have earned.
    """

    name: str
    value: str
    remark: str = ""
    is_loud: bool = False


def assumptions(
    plan: BacktestPlan, *, with_flow: bool, unused: str = "", lacking: str = "", assumed: str = ""
) -> tuple[Assumption, ...]:
    """Return a plan's assumptions, most important first.

    `unused` describes the bad rows of the market's file, and `lacking` the contracts' missing bars. `assumed` says
    which prices of perpetuals are missing, and what takes their place.
    """
    spec = plan.spec
    return (
        *_fills(spec),
        *_prices(spec),
        *([Assumption("rows left out", unused, "their minutes or days are missing", is_loud=True)] if unused else ()),
        *([Assumption("bars missing", lacking, "nothing is traded meanwhile", is_loud=True)] if lacking else ()),
        *([Assumption("missing prices", "assumed", assumed, is_loud=True)] if assumed else ()),
        *(_flow(plan) if with_flow else ()),
        *(_costs(spec.costs) if spec.venue == Venue() else _rules(spec.venue)),
        *_account(plan),
        _halts(plan.settings),
        *_approval(plan.settings),
    )


def _fills(spec: MarketSpec) -> Iterator[Assumption]:
    fill = spec.fill
    yield Assumption("fill", fill.model, f"optimistic: {OPTIMISM[fill.model]}")
    if spec.source == "daily" and fill.model in ("next-bar", "next-open"):
        remark = "with daily bars, a session has only two minutes, so an order waits until the last one and may expire"
        yield Assumption("waiting", "until the next bar", remark, is_loud=True)
    if fill.quotes == "last":
        yield Assumption("spread", FREE, "optimistic: bid and ask are both the last price")
    else:
        yield Assumption("spread", f"{fill.spread_bps} bps, at least a tick to either side of the last price")
    slippage = f"{fill.slippage_bps} bps for orders that don't rest at their limit"
    yield Assumption("slippage", slippage if fill.slippage_bps else FREE, "" if fill.slippage_bps else "optimistic")
    if fill.volume_share is not None:
        yield Assumption("volume", f"at most {_percent(fill.volume_share)} of a bar's volume")
    if spec.source == "daily":
        remark = "optimistic: an order after the open still gets the opening price"
        yield Assumption("quotes", "unchanged from the open to the last minute", remark)


def _prices(spec: MarketSpec) -> Iterator[Assumption]:
    if spec.source == "generated":
        value = "generated" if spec.trends else "generated without trends or shocks, so nothing can predict them"
        yield Assumption(
            "prices", value, "they are made up, so the result says nothing about real markets", is_loud=True
        )
    elif spec.source == "daily":
        words = {
            "raw": "raw, rebuilt from dividends and splits, which are paid and applied on their ex-dates",
            "adjusted": "adjusted as in the file, and no dividends paid",
        }
        remark = "look-ahead: a later dividend changes earlier prices, and so the size of earlier orders"
        adjusted = spec.prices == "adjusted"
        yield Assumption("prices", words[spec.prices], remark if adjusted else "", is_loud=adjusted)
    else:
        yield Assumption("prices", "as in the file of minute bars")
    if spec.source == "daily" and spec.day_prices == "close":
        remark = "look-ahead of a day: a decision after the open already knows the close, and its order fills there"
        yield Assumption("day_prices", "close", remark, is_loud=True)


def _flow(plan: BacktestPlan) -> Iterator[Assumption]:
    spec = plan.spec
    if plan.past_flow is not None:
        first, last = plan.past_flow.days
        value = f"as a bot fetched it from {first} to {last}; each reply is known from its arrival on"
        yield Assumption("flow", value, "a session that wasn't fetched has no flow, and no entries")
    elif spec.uw_folder is None and spec.edge:
        remark = "it is generated from later prices, so any profit from it is artificial"
        yield Assumption("flow", f"generated, and predicts prices with an edge of {spec.edge:g}", remark, is_loud=True)
    else:
        yield Assumption("flow", "captured" if spec.uw_folder else "generated noise, without an edge")


def _costs(costs: Costs) -> Iterator[Assumption]:
    parts = [
        f"{_plain(costs.commission_bps)} bps" if costs.commission_bps else "",
        f"{_plain(costs.commission_per_share_usd)} USD a share" if costs.commission_per_share_usd else "",
        f"at least {_plain(costs.commission_min_usd)} USD an order" if costs.commission_min_usd else "",
    ]
    yield Assumption("commission", " and ".join(filter(None, parts)) or FREE)
    yield _rate("margin_interest", costs.margin_rate, costs.margin_spread, "optimistic: borrowing is free")
    yield _rate("cash_interest", costs.cash_rate, costs.cash_spread, "pessimistic: cash earns nothing")
    fee = costs.borrow_fee_rate
    yield Assumption("borrow_fee", f"{_percent(fee)} a year" if fee else FREE, "" if fee else "optimistic for shorts")
    if costs.short_rebate_rate != NO_COSTS.short_rebate_rate:
        yield _rate("short_rebate", costs.short_rebate_rate, costs.short_rebate_spread, "")
    if costs.interest:
        yield Assumption("interest_posted", *_POSTED[costs.posted])


def _rules(venue: Venue) -> Iterator[Assumption]:
    """Yield the fees of a venue with rules of its own. Futures contracts have no funding."""
    rules = venue.rules
    if charged := dict(_of_contracts(venue)):
        parts = [f"{_plain(fee)} USD ({', '.join(roots)})" for fee, roots in charged.items()]
        yield Assumption("fees", f"for each contract that is bought or sold: {', '.join(parts)}")
    elif rules.contract_fee:
        yield Assumption("fees", f"{_plain(rules.contract_fee)} for each contract")
    else:
        maker, taker = (_plain(fee * 10_000) for fee in (rules.maker_fee, rules.taker_fee))
        yield Assumption("fees", f"{maker} bps for orders that rest (maker), {taker} bps for others (taker)")
    if not all(instrument.root for instrument in venue.instruments):
        yield Assumption("funding", "each contract's funding rate, booked every hour and with every fill")
    part = f"{_percent(rules.liquidation_part)} of a position at a time, for a fee of {_percent(rules.liquidation_fee)}"
    yield Assumption("liquidation", part)


def _of_contracts(venue: Venue) -> Iterator[tuple[Decimal, list[str]]]:
    """Yield each contract fee, lowest first, with the roots that it applies to."""
    own = {
        instrument.root or instrument.symbol: instrument.contract_fee
        for instrument in venue.instruments
        if instrument.contract_fee is not None
    }
    for fee in sorted(set(own.values())):
        yield fee, [name for name, each in own.items() if each == fee]


def _rate(name: str, rate: Rate, spread: Decimal, remark: str) -> Assumption:
    if rate == "funds":
        more = f"{spread * 100:+.2f} points" if spread else ""
        return Assumption(name, f"the federal funds rate of each day {more}".strip())
    return Assumption(name, f"{_percent(rate)} a year" if rate else FREE, "" if rate else remark)


def _account(plan: BacktestPlan) -> Iterator[Assumption]:
    yield Assumption("cash", f"{plan.spec.cash:,.2f} USD")
    if plan.margin == "free":
        yield Assumption(
            "leverage", "without a limit", "no broker lends like this; use it only to reproduce a study", is_loud=True
        )
    elif plan.spec.venue != Venue():
        yield Assumption("leverage", "by each contract's margin levels")
    else:
        yield Assumption("leverage", "as a broker lends: twice the equity, with maintenance margin")
    if plan.equity_at == "last_fill":
        remark = "positions are sized at the prices of their last fills; use it only to reproduce a study"
        yield Assumption("equity", "stale", remark, is_loud=True)


def _halts(settings: Settings) -> Assumption:
    halts = settings.halts
    parts = [
        f"drawdown {_percent(halts.drawdown_fraction)}",
        f"daily loss {_percent(halts.daily_loss_fraction)}",
        f"equity below {halts.min_equity_usd:,.0f} USD" if halts.min_equity_usd is not None else "",
        f"initial margin {_percent(halts.margin_fraction)}" if halts.margin_fraction is not None else "",
        f"maintenance margin {_percent(halts.maintenance_fraction)}" if halts.maintenance_fraction is not None else "",
    ]
    if (lasting := settings.backtest.unhalt_after_sessions) is None:
        return Assumption("halts", ", ".join(filter(None, parts)), "no entries after a halt, because no person ends it")
    ended = f"optimistic: a person accepts each halt, and ends it {pluralize(lasting, 'session')} later"
    return Assumption("halts", ", ".join(filter(None, parts)), ended)


def _approval(settings: Settings) -> Iterator[Assumption]:
    if any(settings.approval_of(name).wait_s for name in settings.strategies.sections()):
        yield Assumption("approval", "no approval is required", "optimistic: a person says yes to each entry at once")


def _percent(fraction: Decimal) -> str:
    return f"{_plain(fraction * 100)}%"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
