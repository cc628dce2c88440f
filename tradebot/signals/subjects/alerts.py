"""Alerts on runs of option trades: which ones count, and their totals."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import repeat
from math import fsum
from operator import attrgetter
from statistics import median
from typing import Any, NamedTuple

from tradebot.model.candidate import Input, OptionContract
from tradebot.model.fact_kind import NEW_YORK, AnyKind, Columns, DayFact, Kind, Phase, Row, parse_field_types
from tradebot.model.flow import FlowAlert, FlowWindow
from tradebot.model.record import SymbolFacts
from tradebot.signals import bulk_fields, fields
from tradebot.signals.filters import AlertSelection, Filter, filters_on, select_alerts
from tradebot.signals.scoring import USD, NumberFormat, ScoreComponent, ScoringInputs, compile_formula, number_formats

LARGE = 3
"""The premium of a large alert, as a multiple of the median premium of the session's single-leg alerts."""
_OPEN = time(9, 30)
_AT = attrgetter("at")


class LargeAlerts(NamedTuple):
    """Large alerts of one direction: their premium in USD, how many there are, and the time between first and last."""

    usd: float = 0.0
    number: int = 0
    span_s: float = 0.0


class SessionAlerts(tuple[FlowAlert, ...]):
    """The alerts of one session, oldest first. Totals are computed when first read."""

    @cached_property
    def large(self) -> Mapping[int, LargeAlerts]:
        """Return the large single-leg alerts by sign: +1 bullish, -1 bearish."""
        single = [alert for alert in self if not alert.has_multileg]
        least = LARGE * median([alert.usd for alert in single]) if single else 0.0
        large = [alert for alert in single if alert.usd >= least]
        return {sign: _summed_up([alert for alert in large if alert.sign == sign]) for sign in (1, -1)}

    def until(self, now: datetime) -> "SessionAlerts":
        """Return the alerts that aren't later than `now`: the source's clock may be a few seconds ahead."""
        if not self or self[-1].at <= now:
            return self
        return SessionAlerts(self[: bisect_right(self, now, key=_AT)])


def _summed_up(alerts: Sequence[FlowAlert]) -> LargeAlerts:
    if not alerts:
        return LargeAlerts()
    span = alerts[-1].at - alerts[0].at
    return LargeAlerts(fsum(alert.usd for alert in alerts), len(alerts), span.total_seconds())


def _since_open(session: date) -> str:
    return f"{datetime.combine(session, _OPEN, NEW_YORK).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _alert_fields(read: Any, of: Row | Columns, at: datetime) -> tuple[Any, ...]:
    """Return an alert's fields in order, without its symbol; `read` is `fields` for a row, `bulk_fields` for many."""
    return (
        read.text(of, "id"),
        read.past_time(of, "created_at", at),
        read.right(of, "type"),
        read.positive(of, "strike"),
        read.day(of, "expiry"),
        read.positive(of, "total_premium"),
        read.not_negative(of, "total_ask_side_prem"),
        read.not_negative(of, "total_bid_side_prem"),
        read.count(of, "volume"),
        read.count(of, "open_interest"),
        read.optional(read.boolean, of, "has_sweep", False),
        read.optional(read.boolean, of, "has_floor", False),
        read.optional(read.boolean, of, "has_multileg", False),
        read.optional(read.text, of, "option_chain", ""),
        read.optional(read.positive, of, "price"),
        read.optional(read.not_negative, of, "bid"),
        read.optional(read.not_negative, of, "ask"),
        read.optional(read.count, of, "total_size"),
        read.optional(read.count, of, "trade_count"),
        read.optional(read.boolean, of, "all_opening_trades"),
        read.optional(read.text, of, "issue_type"),
        read.optional(read.positive, of, "underlying_price"),
        read.optional(read.text, of, "alert_rule", ""),
        read.optional(read.day, of, "next_earnings_date"),
        read.optional(read.positive_float, of, "iv_end"),
    )


def _parse_flow_alerts(row: Row, symbol: str, at: datetime) -> FlowAlert:
    if row.get("ticker") is None:
        raise fields.BadRowError("ticker is missing")
    identity, *others = _alert_fields(fields, row, at)
    return FlowAlert(identity, symbol, *others)


def _parse_all(columns: Columns, symbol: str, at: datetime) -> Iterable[FlowAlert]:
    bulk_fields.text(columns, "ticker")
    identities, *others = _alert_fields(bulk_fields, columns, at)
    return map(FlowAlert, identities, repeat(symbol), *others)


FLOW_ALERTS_KIND: Kind[FlowAlert, FlowAlert, SessionAlerts] = Kind(
    name="flow_alerts",
    unit="USD of premium, contracts",
    sign="bought calls and sold puts are bullish",
    absent="no alert since the open",
    fact=FlowAlert,
    path="/api/option-trades/flow-alerts",
    # The parameter must be ticker_symbol. The source ignores any other name and returns the whole market.
    params={"ticker_symbol": "{}", "limit": "200", "newer_than": _since_open},
    parse=_parse_flow_alerts,
    parse_all=_parse_all,
    moment=_AT,
    condense=lambda alerts: SessionAlerts(sorted(alerts, key=attrgetter("at", "id"))),
    poll_s=240,
    changes=False,
    core=True,
    max_age_s=1_800,
    phase=Phase.OPEN,
    fields=parse_field_types(
        "text id ticker created_at option_chain type expiry alert_rule rule_id issue_type, text? sector "
        "next_earnings_date er_time, decimal strike price bid ask total_premium total_ask_side_prem "
        "total_bid_side_prem underlying_price, decimal? volume_oi_ratio marketcap, decimal?* iv_start iv_end, integer "
        "start_time end_time expiry_count total_size trade_count volume open_interest, boolean has_sweep has_floor "
        "has_multileg has_singleleg all_opening_trades"
    ),
)
"""Rule-based alerts on runs of option trades."""


SESSIONS = 20
"""How many finished sessions define a symbol's usual premium: about a month."""
_DONE = time(16, 15)


class OptionsVolume(DayFact, frozen=True):
    """The premium in USD of a session's option trades; `done` is True if the reply came after the last of them."""

    call_premium: Decimal
    put_premium: Decimal
    done: bool


class OptionsVolumeFacts(NamedTuple):
    """The median daily premium, in USD, over the last finished `sessions`, at most 20; 0 if there is none."""

    trailing_premium_usd: float
    sessions: int


def _parse_options_volume(row: Row, symbol: str, at: datetime) -> OptionsVolume:
    day = fields.past_day(row, "date", at)
    calls, puts = (fields.not_negative(row, name) for name in ("call_premium", "put_premium"))
    here = at.astimezone(NEW_YORK)
    done = here.date() > day or here.time() >= _DONE
    return OptionsVolume(day.isoformat(), symbol, day, calls, puts, done)


def _condense_options_volume(sessions: Sequence[tuple[date, float, bool]]) -> OptionsVolumeFacts:
    """Return the median over the last finished sessions: a single busy day doesn't move it much."""
    last = sorted((day, premium_usd) for day, premium_usd, done in sessions if done)[-SESSIONS:]
    return OptionsVolumeFacts(median(premium_usd for _, premium_usd in last) if last else 0.0, len(last))


OPTIONS_VOLUME_KIND = Kind(
    name="options_volume",
    # Alerts are compared with this premium; without it, there is no flow score.
    core=True,
    unit="USD of premium",
    sign="none: how much premium trades on a usual day",
    absent="no session known",
    fact=OptionsVolume,
    path="/api/stock/{}/options-volume",
    params={"limit": "30"},
    parse=_parse_options_volume,
    lean=lambda volume: (volume.date, float(volume.call_premium + volume.put_premium), volume.done),
    condense=_condense_options_volume,
    past_days=45,
    max_age_s=4 * 86_400,
    fields=parse_field_types(
        "text date, decimal call_premium put_premium net_call_premium net_put_premium bullish_premium bearish_premium "
        "avg_3_day_call_volume avg_3_day_put_volume avg_7_day_call_volume avg_7_day_put_volume avg_30_day_call_volume "
        "avg_30_day_put_volume, integer call_volume put_volume call_volume_ask_side call_volume_bid_side "
        "put_volume_ask_side put_volume_bid_side call_open_interest put_open_interest"
    ),
)
"""The premium of all option trades of each session."""


MOST = 5
"""How many contracts are stored with an entry: those with the most premium."""


def contracts_behind(alerts: Iterable[FlowAlert], direction: int) -> tuple[OptionContract, ...]:
    """Return the option contracts of alerts in a direction (+1 bullish, -1 bearish), the most premium first."""
    by_contract: dict[str, list[FlowAlert]] = defaultdict(list)
    for alert in alerts:
        if alert.sign == direction:
            by_contract[alert.contract].append(alert)
    contracts = [_contract(symbol, its) for symbol, its in by_contract.items()]
    return tuple(sorted(contracts, key=lambda alert: (-abs(alert.net_premium), alert.symbol))[:MOST])


def _contract(symbol: str, alerts: list[FlowAlert]) -> OptionContract:
    newest_first = sorted(alerts, key=attrgetter("at", "id"), reverse=True)
    newest = newest_first[0]
    return OptionContract(
        symbol=symbol or f"{newest.right.value} {newest.strike:f} {newest.expiry.isoformat()}",
        net_premium=sum(alert.net_premium for alert in alerts),  # type: ignore[arg-type]
        at=newest.at,
        bid=newest.bid,
        ask=newest.ask,
        volume=newest.volume,
        open_interest=newest.open_interest,
        opening=newest.opening,
        sweep=any(alert.has_sweep for alert in alerts),
        alerts=tuple(alert.id for alert in newest_first),
    )


def sizes(alerts: Iterable[FlowAlert], window: timedelta, sign: int) -> list[int]:
    """Return the number of alerts in each cluster of one direction (+1 bullish, -1 bearish), oldest cluster first.

    A cluster consists of the alerts of one symbol and direction within a window that starts at the first of them.
    """
    lengths: list[int] = []
    until = None
    for at in sorted([alert.at for alert in alerts if alert.sign == sign]):
        if until is None or at > until:
            until = at + window
            lengths.append(1)
        else:
            lengths[-1] += 1
    return lengths


FLOW = "net / (gross + scale)"
"""The score of alerts: one more bullish alert never lowers it, and thin flow counts little."""
_flow = compile_formula(FLOW, ("net", "gross", "scale"))


class AlertCounting(NamedTuple):
    """Which alerts count at one moment, and how they are scaled: the same for all symbols.

    Alerts count if they are later than `since`, don't expire before `today`, and pass the filters.
    """

    since: datetime
    today: date
    filters: Sequence[Filter]
    window: FlowWindow


class FlowNow(NamedTuple):
    """The flow of one symbol at one time.

    `alerts` are the alerts that count; `lacking` is how many other alerts lack a field that a filter reads. `scale_usd`
    is the premium that the alerts are compared with, None if too little is known of the symbol's trailing premium.
    `value` is from -1 to 1, None without a scale or without a usable reply about the symbol's alerts.
    """

    alerts: Sequence[FlowAlert]
    lacking: int
    scale_usd: float | None
    value: float | None


def counting(now: datetime, window: FlowWindow) -> AlertCounting:
    return AlertCounting(now - window.lookback, now.date(), filters_on(now.date(), window.filters), window)


def flow_now(facts: SymbolFacts, count: AlertCounting) -> FlowNow:
    (alerts, lacking), scale = recent_alerts(facts, count), scale_usd(facts, count.window)
    at = facts.alerts_fetched_at
    # A reply older than the lookback doesn't show that there were no alerts since.
    is_usable = scale is not None and facts.has_usable_alerts and at is not None and at > count.since
    return FlowNow(alerts, lacking, scale, flow(alerts, scale) if scale is not None and is_usable else None)


def recent_alerts(facts: SymbolFacts, count: AlertCounting) -> AlertSelection:
    """Return the alerts that count: recent, not expired, and passing the filters."""
    alerts, today = facts.alerts, count.today
    recent = alerts[bisect_right(alerts, count.since, key=_AT) :]
    return select_alerts([alert for alert in recent if alert.expiry >= today], count.filters)


def scale_usd(facts: SymbolFacts, window: FlowWindow) -> float | None:
    """Return the premium in USD at which one-sided flow scores one half: a fraction of the symbol's own daily premium.

    The scale is never guessed: return None if fewer sessions are known than required, or if their median premium is
    zero.
    """
    trailing = OPTIONS_VOLUME_KIND.of(facts.known)
    if trailing is None or trailing.sessions < window.min_sessions:
        return None
    return window.scale_share * trailing.trailing_premium_usd or None


def net_and_gross(alerts: Sequence[FlowAlert]) -> tuple[float, float]:
    """Return the sum of the alerts' signed premiums and the sum of their magnitudes, in USD; positive is bullish."""
    signed = [alert.net_usd for alert in alerts]
    # fsum rounds only once, so neither the order of the rows nor their number changes the result.
    return fsum(signed), fsum(map(abs, signed))


def flow(alerts: Sequence[FlowAlert], scale: float) -> float:
    """Return the score of alerts by the formula `FLOW`, from -1 to 1, relative to a scale in USD."""
    return _flow(*net_and_gross(alerts), scale)


FLOW_READS: tuple[AnyKind, ...] = (FLOW_ALERTS_KIND, OPTIONS_VOLUME_KIND)
"""The kinds of facts from which the flow, and therefore each component that follows it, is computed."""


class FlowShare(ScoreComponent, frozen=True, eq=False, kw_only=True):
    """A component whose value is a fraction of the flow's; by default it reads only the alerts."""

    family: str = "options_flow"
    reads: tuple[AnyKind, ...] = FLOW_READS
    absent: str = "no direction of the flow"
    follows: str = "flow"


class Premium(NamedTuple):
    """The premium in USD of the alerts that count, and the figures that it is compared with."""

    net: float
    gross: float
    scale: float | None
    trailing_premium: float | None
    trailing_sessions: int
    alerts_known: int
    alerts_that_count: int
    alerts_without_a_field: int


def _premium(inputs: ScoringInputs) -> Premium:
    trailing = OPTIONS_VOLUME_KIND.of(inputs.facts.known)
    net, gross = net_and_gross(inputs.alerts)
    return Premium(
        net,
        gross,
        inputs.scale_usd,
        trailing.trailing_premium_usd if trailing else None,
        trailing.sessions if trailing else 0,
        len(inputs.facts.alerts),
        len(inputs.alerts),
        inputs.lacking,
    )


def _inputs(inputs: ScoringInputs) -> Iterator[Input]:
    for alert in sorted(inputs.alerts, key=lambda alert: (alert.at, alert.id), reverse=True):
        name = f"{alert.right.value} {alert.strike:f} {alert.expiry.isoformat()}"
        yield Input(name, alert.net_premium, USD, alert.at, alert.id)


FLOW_COMPONENT = ScoreComponent(
    name="flow",
    family="options_flow",
    reads=FLOW_READS,
    sign="bullish if more premium bought calls and sold puts",
    looks_at=_premium,
    shows={
        **number_formats(USD, "net", "gross", "scale", "trailing_premium"),
        "trailing_sessions": NumberFormat("sessions"),
        **number_formats("alerts", "alerts_known", "alerts_that_count", "alerts_without_a_field"),
    },
    formula=FLOW,
    absent="no usable reply about this symbol's alerts, or too few earlier sessions to measure them against",
    details=_inputs,
    # The components that follow flow read it too, so it is computed first.
    computed=lambda inputs: inputs.flow,
    after="tradebot; the scale makes the symbol's own usual premium the measure (docs/STRATEGY.md)",
    evidence="Pan & Poteshman 2006, The Information in Option Volume for Future Stock Prices",
    inferred="which side opened a trade: the source derives it from volume and open interest",
)
"""The premium of recent alerts, compared with the symbol's usual premium."""
