"""Open interest: how it changes, and the exposure of option writers and dealers."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from statistics import fmean
from typing import NamedTuple

from tradebot.model.fact_kind import DayFact, Kind, Phase, Row, SymbolFact, parse_field_types
from tradebot.model.instrument import Right
from tradebot.signals import fields
from tradebot.signals.fields import new_york_day
from tradebot.signals.scoring import NumberFormat, ScoreComponent, ScoringInputs, count_of, latest, recent
from tradebot.signals.subjects.alerts import FLOW_ALERTS_KIND, FLOW_READS, FlowShare

_OCC = re.compile(r"[A-Z0-9.]{1,6}\d{6}([CP])\d{8}")


class OiChange(DayFact, frozen=True):
    """Overnight change in the open interest of one option symbol, in contracts."""

    option_symbol: str
    right: Right
    change: int


class OiFacts(NamedTuple):
    """The overnight change in open interest on the last known date, over `symbols` option symbols, in contracts.

    `net` is the change in calls minus the change in puts, `gross` the sum of the contracts' changes without their
    signs.
    """

    net: int
    gross: int
    symbols: int
    date: date


def _parse_oi_change(row: Row, symbol: str, at: datetime) -> OiChange:
    contract = fields.text(row, "option_symbol")
    match = _OCC.fullmatch(contract)
    if match is None:
        raise fields.BadRowError("option_symbol is not an OCC symbol")
    day = fields.past_day(row, "curr_date", at)
    right = Right.CALL if match[1] == "C" else Right.PUT
    change = int(fields.number(row, "oi_diff_plain"))
    return OiChange(f"{day.isoformat()}/{contract}", symbol, day, contract, right, change)


def _condense_oi_change(changes: Sequence[tuple[date, int]]) -> OiFacts:
    newest = max(day for day, _ in changes)
    contracts = [change for day, change in changes if day == newest]
    return OiFacts(sum(contracts), sum(map(abs, contracts)), len(contracts), newest)


OI_CHANGE_KIND = Kind(
    name="oi_change",
    unit="contracts",
    sign="more open calls and fewer open puts are bullish",
    absent="no change in open interest known",
    fact=OiChange,
    path="/api/stock/{}/oi-change",
    parse=_parse_oi_change,
    # A put's change is negated, so that positive is bullish.
    lean=lambda change: (change.date, change.change if change.right is Right.CALL else -change.change),
    condense=_condense_oi_change,
    past_days=400,
    fields=parse_field_types(
        "text option_symbol underlying_symbol curr_date last_date, decimal oi_change, decimal? avg_price last_fill "
        "last_ask last_bid prev_total_premium percentage_of_total, integer curr_oi last_oi oi_diff_plain volume trades "
        "rnk, integer? prev_ask_volume prev_bid_volume prev_mid_volume prev_neutral_volume prev_multi_leg_volume "
        "prev_stock_multi_leg_volume, integer?* days_of_oi_increases days_of_vol_greater_than_oi"
    ),
)
"""Overnight changes in open interest."""


_CHANGES = recent(OI_CHANGE_KIND)


OI_CHANGE_COMPONENT = ScoreComponent(
    name="oi_change",
    family="open_interest",
    reads=(OI_CHANGE_KIND,),
    sign="bullish if open interest moved from puts to calls",
    looks_at=_CHANGES,
    shows={
        "net": NumberFormat("contracts", "date"),
        "gross": NumberFormat("contracts", "date"),
        "symbols": NumberFormat("option symbols"),
    },
    formula="net / gross if gross else 0",
    absent="no change in open interest of the last days",
    source=count_of(_CHANGES, "symbols", "contracts"),
    after="the sum over the contracts whose open interest changed most, by the right in their OCC symbols",
    evidence="Fodor, Krieger & Doran 2011: growing call open interest precedes higher returns, put the reverse",
    inferred="that opened calls were bought: open interest doesn't say which side opened it",
)
"""The overnight change in open interest."""


class MaxPain(SymbolFact, frozen=True):
    """The max pain of one expiry in USD per share, as listed on a New York date."""

    listed: date
    expiry: date
    price: Decimal


class ExpiryMaxPain(NamedTuple):
    """The max pain of one expiry in USD per share."""

    expiry: date
    price: float


def _parse_max_pain(row: Row, symbol: str, at: datetime) -> MaxPain:
    expiry = fields.day(row, "expiry")
    return MaxPain(expiry.isoformat(), symbol, fields.new_york_day(at), expiry, fields.positive(row, "max_pain"))


def _condense_max_pain(levels: Sequence[tuple[date, ExpiryMaxPain]]) -> tuple[ExpiryMaxPain, ...]:
    newest = max(listed for listed, _ in levels)
    return tuple(sorted(level for listed, level in levels if listed == newest))


MAX_PAIN_KIND = Kind(
    name="max_pain",
    unit="USD per share",
    sign="bullish if it is above the price",
    absent="no list of this session",
    fact=MaxPain,
    path="/api/stock/{}/max-pain",
    params={"date": date.isoformat},
    parse=_parse_max_pain,
    moment=lambda level: level.listed,
    lean=lambda level: (level.listed, ExpiryMaxPain(level.expiry, float(level.price))),
    condense=_condense_max_pain,
    fields=parse_field_types("text expiry, decimal max_pain"),
    max_age_s=86_400,
)
"""The price at which the options of each expiry would cost their writers least."""


REACH_DAYS = 7


class MaxPainPull(NamedTuple):
    """The next expiry's max pain, the number of days until that expiry, and the stock's price.

    The price is from the newest alert that gives one.
    """

    pain: float
    expiry: date
    days: int
    price: float
    at: datetime
    alert: str


def _pull(inputs: ScoringInputs) -> MaxPainPull | None:
    today, since = new_york_day(inputs.now), inputs.now - inputs.lookback
    levels = MAX_PAIN_KIND.of(inputs.facts.known) or ()
    pain = next((level for level in levels if level.expiry >= today), None)
    if pain is None or (days := (pain.expiry - today).days) >= REACH_DAYS:
        return None
    for alert in reversed(inputs.facts.alerts):
        if alert.at <= since:
            break
        if alert.underlying_price is not None:
            return MaxPainPull(pain.price, pain.expiry, days, float(alert.underlying_price), alert.at, alert.id)
    return None


MAX_PAIN_COMPONENT = ScoreComponent(
    name="max_pain",
    family="expiry",
    reads=(MAX_PAIN_KIND, FLOW_ALERTS_KIND),
    sign="bullish if the next expiry's max pain is above the price",
    looks_at=_pull,
    shows={
        "pain": NumberFormat("USD", "expiry", "expiry"),
        "price": NumberFormat("USD", "at", "alert"),
        "days": NumberFormat("days"),
    },
    formula=f"clamp((pain - price) / (0.05 * price), -1, 1) * (1 - days / {REACH_DAYS})",
    absent="no expiry within a week, or no alert within the lookback that says what the stock costs",
    source=lambda inputs: f"{len(MAX_PAIN_KIND.of(inputs.facts.known) or ())} expiries",
    after="tradebot: the distance to the next expiry's level, fading over a week",
    evidence="Ni, Pearson & Poteshman 2005 and Filippou, Garcia-Ares & Zapatero 2022, around monthly expiries",
)
"""The pull of the price at which the next expiring options would cost their writers least."""


class GreekExposure(DayFact, frozen=True):
    """Dealer gamma of one symbol at the end of one session; the source reports put gamma as negative."""

    call_gamma: Decimal
    put_gamma: Decimal


class GammaFacts(NamedTuple):
    """Dealers' gamma at the end of the last known session.

    `scale` is the mean magnitude over the `sessions` before it, None if there are none. `date` is the last session's.
    """

    gex: float
    scale: float | None
    sessions: int
    date: date


def _parse_greek_exposure(row: Row, symbol: str, at: datetime) -> GreekExposure:
    day = fields.past_day(row, "date", at)
    return GreekExposure(
        day.isoformat(), symbol, day, fields.number(row, "call_gamma"), fields.number(row, "put_gamma")
    )


def _condense_greek_exposure(exposures: Sequence[tuple[date, float]]) -> GammaFacts:
    *earlier, (day, gex) = sorted(exposures)
    scale = fmean(abs(gamma) for _, gamma in earlier) if earlier else None
    return GammaFacts(gex, scale, len(earlier), day)


GREEK_EXPOSURE_KIND = Kind(
    name="greek_exposure",
    unit="gamma",
    sign="positive if dealers are long gamma",
    absent="no exposure known",
    fact=GreekExposure,
    path="/api/stock/{}/greek-exposure",
    parse=_parse_greek_exposure,
    lean=lambda exposure: (exposure.date, float(exposure.call_gamma + exposure.put_gamma)),
    condense=_condense_greek_exposure,
    past_days=400,
    fields=parse_field_types(
        "text date, decimal call_gamma put_gamma call_delta put_delta call_charm put_charm call_vanna put_vanna"
    ),
)
"""Dealers' gamma at the end of each session."""


_GAMMA = recent(GREEK_EXPOSURE_KIND)


GREEK_EXPOSURE_COMPONENT = FlowShare(
    name="greek_exposure",
    family="dealers",
    reads=(GREEK_EXPOSURE_KIND, *FLOW_READS),
    sign="in the flow's direction if dealers are short gamma, against it if they are long",
    looks_at=_GAMMA,
    shows={
        "gex": NumberFormat("gamma", "date", "date"),
        "scale": NumberFormat("gamma"),
        "sessions": NumberFormat("earlier sessions"),
    },
    formula="-flow * clamp(gex / (2 * scale), -1, 1)",
    absent="no direction of the flow, or no exposure of the last days and earlier ones to measure it against",
    source=count_of(_GAMMA, "sessions", "earlier sessions"),
    after="tradebot: the gamma of the last session, measured against that of the sessions before it",
    inferred="that dealers are on the other side of all open options, as the source assumes",
)
"""How dealers' gamma affects the direction of the flow."""


class SpotExposure(SymbolFact, frozen=True):
    """How much dealers have to trade, in USD, if the price moves by one percent, estimated from open interest.

    It is positive if dealers are long gamma, which makes them trade against the move. The source assumes that dealers
    bought all calls and sold all puts.
    """

    at: datetime
    gamma: Decimal


class SpotGexFacts(NamedTuple):
    """Dealers' gamma at the last minute, and its mean magnitude over `minutes` of the session."""

    at: datetime
    gamma: float
    scale: float
    minutes: int


def _parse_spot_gex(row: Row, symbol: str, at: datetime) -> SpotExposure:
    when = fields.past_time(row, "time", at)
    return SpotExposure(when.isoformat(), symbol, when, fields.number(row, "gamma_per_one_percent_move_oi"))


def _condense_spot_gex(exposures: Sequence[tuple[datetime, float]]) -> SpotGexFacts:
    in_order = sorted(exposures)
    return SpotGexFacts(*in_order[-1], fmean(abs(gamma) for _, gamma in in_order), len(exposures))


SPOT_GEX_KIND = Kind(
    name="spot_gex",
    unit="USD per one percent of the price",
    sign="positive if dealers are long gamma",
    absent="no exposure of this session",
    fact=SpotExposure,
    path="/api/stock/{}/spot-exposures",
    params={"date": date.isoformat},
    parse=_parse_spot_gex,
    moment=attrgetter("at"),
    lean=lambda exposure: (exposure.at, float(exposure.gamma)),
    condense=_condense_spot_gex,
    poll_s=1_800,
    fields=parse_field_types(
        "text time, decimal charm_per_one_percent_move_dir charm_per_one_percent_move_oi "
        "charm_per_one_percent_move_vol gamma_per_one_percent_move_dir gamma_per_one_percent_move_oi "
        "gamma_per_one_percent_move_vol vanna_per_one_percent_move_dir vanna_per_one_percent_move_oi "
        "vanna_per_one_percent_move_vol price"
    ),
    max_age_s=5_400,
    phase=Phase.OPEN,
)
"""Dealers' gamma at the price of each minute."""


SPOT_GAMMA_UNIT = "USD per percent"


_SPOT_GAMMA = latest(SPOT_GEX_KIND)

SPOT_GEX_COMPONENT = FlowShare(
    name="spot_gex",
    family="dealers",
    reads=(SPOT_GEX_KIND, *FLOW_READS),
    sign="bullish if dealers are short gamma and the flow is bullish, or long gamma and the flow is bearish",
    looks_at=_SPOT_GAMMA,
    shows={
        "gamma": NumberFormat(SPOT_GAMMA_UNIT, "at", "at"),
        "scale": NumberFormat(SPOT_GAMMA_UNIT, "at"),
        "minutes": NumberFormat("minutes"),
    },
    formula="flow * -clamp(gamma / (2 * scale), -1, 1)",
    absent="no flow, or no exposure of this session",
    source=count_of(_SPOT_GAMMA, "minutes", "minutes"),
    after="tradebot: the gamma of the last minute, measured against that of the session so far",
    evidence="Baltussen, Da, Lammers & Martens 2021: moves continue if dealers are short gamma, and reverse if "
    "they are long",
    inferred="the side of dealers: the source assumes that they bought all calls and sold all puts",
)
"""How dealers' gamma at the price of this minute affects the direction of the flow."""
