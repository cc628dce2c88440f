"""The fields of each further endpoint's rows by type, from captured responses and documented examples.

The types are text, decimal (a number as text), integer, number, boolean, list, object, date and time; a ? means that a
field may be null, as where something is not known yet. The examples show few nulls.
"""

from urllib.parse import quote

from papervenue.flow.series import FlowEndpoint

_QUERIES = {
    "risk-reversal": "expiry=2025-04-18&delta=25",
    "options-volume": "limit=40",
    "realized-volatility": "timeframe=3M",
    "congress": "limit=200",
}
SHAPES: dict[str, dict[str, str]] = {
    "congress": {
        "boolean": "is_active",
        "date": "filed_at_date transaction_date",
        "text": "amounts issuer member_type name notes politician_id reporter ticker txn_type",
    },
    "earnings": {
        "date": "ending_fiscal_quarter report_date",
        "decimal": "expected_move expected_move_perc street_mean_est",
        "decimal?": (
            "actual_eps long_straddle_1d long_straddle_1w post_earnings_move_1d "
            "post_earnings_move_1w post_earnings_move_2w post_earnings_move_3d "
            "pre_earnings_move_1d pre_earnings_move_1w pre_earnings_move_2w "
            "pre_earnings_move_3d short_straddle_1d short_straddle_1w"
        ),
        "text": "report_time source",
    },
    "earnings-premarket": {
        "boolean": "has_options is_s_p_500",
        "date": "ending_fiscal_quarter report_date",
        "date?": "post_earnings_date pre_earnings_date",
        "decimal": "expected_move expected_move_perc marketcap street_mean_est",
        "decimal?": "actual_eps post_earnings_close pre_earnings_close reaction",
        "text": "continent country_code country_name full_name report_time sector source symbol",
    },
    "economic-calendar": {"text": "event type", "text?": "forecast prev reported_period", "time": "time"},
    "etf-flow": {"boolean": "is_fomc", "date": "date", "decimal": "change_prem close", "integer": "change volume"},
    "fails": {"date": "date", "decimal": "price", "integer": "quantity"},
    "fda-calendar": {
        "boolean": "has_options",
        "date": "end_date start_date",
        "decimal": "marketcap",
        "text": "catalyst description drug indication status ticker",
        "text?": "notes outcome outcome_brief source_link",
    },
    "headlines": {
        "boolean": "is_major",
        "list": "tags tickers",
        "object": "meta",
        "text": "headline sentiment source",
        "time": "created_at",
    },
    "info": {
        "boolean": "has_dividend has_earnings_history has_investment_arm has_options",
        "date?": "next_earnings_date",
        "decimal": "avg30_volume beta marketcap",
        "list": "uw_tags",
        "text": "announce_time full_name issue_type marketcap_size short_description symbol",
        "text?": "sector",
    },
    "insider-flow": {
        "date": "date",
        "decimal": "premium",
        "integer": "transactions uniq_insiders volume",
        "number": "avg_price",
        "text": "buy_sell",
    },
    "interpolated-iv": {"date": "date", "decimal": "implied_move_perc percentile volatility", "integer": "days"},
    "max-pain": {"date": "expiry", "decimal": "max_pain"},
    "net-prem-ticks": {
        "date": "date",
        "decimal": "net_call_premium net_delta net_put_premium",
        "integer": (
            "call_volume call_volume_ask_side call_volume_bid_side net_call_volume "
            "net_put_volume put_volume put_volume_ask_side put_volume_bid_side"
        ),
        "time": "tape_time",
    },
    "oi-per-strike": {"date": "date", "decimal": "strike", "integer": "call_oi put_oi"},
    "options-volume": {
        "date": "date",
        "decimal": (
            "avg_30_day_call_volume avg_30_day_put_volume avg_3_day_call_volume "
            "avg_3_day_put_volume avg_7_day_call_volume avg_7_day_put_volume bearish_premium "
            "bullish_premium call_premium net_call_premium net_put_premium put_premium"
        ),
        "integer": (
            "call_open_interest call_volume call_volume_ask_side call_volume_bid_side "
            "put_open_interest put_volume put_volume_ask_side put_volume_bid_side"
        ),
    },
    "ownership": {
        "date": "filing_date first_buy report_date",
        "decimal": "avg_price inst_share_value inst_value shares_outstanding value",
        "integer": "units units_change",
        "list": "historical_units people tags",
        "text": "name short_name",
    },
    "realized-volatility": {
        "date": "date",
        "date?": "unshifted_rv_date",
        "decimal": "implied_volatility price",
        "decimal?": "realized_volatility",
    },
    "risk-reversal": {"date": "date", "decimal": "risk_reversal", "integer": "delta", "text": "ticker"},
    "screener": {
        "boolean": "is_index",
        "date": "date",
        "date?": "next_dividend_date next_earnings_date",
        "decimal": (
            "avg_30_day_call_volume avg_30_day_put_volume avg_3_day_call_volume "
            "avg_3_day_put_volume avg_7_day_call_volume avg_7_day_put_volume bearish_premium "
            "bullish_premium call_premium close implied_move implied_move_perc iv30d iv30d_1d "
            "iv30d_1m iv30d_1w iv_rank marketcap net_call_premium net_put_premium prev_close "
            "put_premium relative_volume volatility week_52_high week_52_low"
        ),
        "decimal?": "put_call_ratio",
        "integer": (
            "call_open_interest call_volume call_volume_ask_side call_volume_bid_side "
            "prev_call_oi prev_put_oi put_open_interest put_volume put_volume_ask_side "
            "put_volume_bid_side total_open_interest"
        ),
        "text": "issue_type ticker",
        "text?": "er_time sector",
    },
    "sector-tide": {
        "date": "date",
        "decimal": "net_call_premium net_put_premium",
        "integer": "net_volume",
        "time": "timestamp",
    },
    "short-interest": {
        "date": "market_date",
        "decimal": ("days_to_cover fee_rate rebate_rate si_float si_float_with_synth_long_pct_of_total_shares"),
        "integer": "short_interest short_shares_available total_float",
        "text": "symbol",
    },
    "short-volume": {
        "date": "market_date",
        "decimal": "close_price short_volume_ratio",
        "integer": "short_volume total_volume",
    },
    "spot-exposures": {
        "decimal": (
            "charm_per_one_percent_move_dir charm_per_one_percent_move_oi "
            "charm_per_one_percent_move_vol gamma_per_one_percent_move_dir "
            "gamma_per_one_percent_move_oi gamma_per_one_percent_move_vol price "
            "vanna_per_one_percent_move_dir vanna_per_one_percent_move_oi "
            "vanna_per_one_percent_move_vol"
        ),
        "time": "time",
    },
    "term-structure": {"date": "date expiry", "decimal": "implied_move implied_move_perc volatility", "integer": "dte"},
    "top-net-impact": {"number": "net_premium", "text": "ticker"},
    "volatility-stats": {"date": "date", "decimal": "iv iv_high iv_low iv_rank rv rv_high rv_low", "text": "ticker"},
}
SHAPES["earnings-afterhours"] = SHAPES["earnings-premarket"]


def fields_of(series: str) -> dict[str, str]:
    """Return the type of each field of an endpoint's rows."""
    return {field: kind for kind, fields in SHAPES[series].items() for field in fields.split()}


def path_of(endpoint: FlowEndpoint, ticker: str = "", sector: str = "Technology") -> str:
    """Return an endpoint's path with the query that it needs, for a ticker that it knows something of."""
    ticker = ticker or ("SPY" if endpoint.series == "etf-flow" else "AAPL")
    path = endpoint.path.replace("{ticker}", ticker).replace("{sector}", quote(sector))
    return f"{path}?{_QUERIES.get(endpoint.series, '')}"
