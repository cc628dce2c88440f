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
_TABLE = """
congress boolean is_active
congress date filed_at_date transaction_date
congress text amounts issuer member_type name notes politician_id reporter ticker txn_type
earnings date ending_fiscal_quarter report_date
earnings decimal expected_move expected_move_perc street_mean_est
earnings decimal? actual_eps long_straddle_1d long_straddle_1w post_earnings_move_1d post_earnings_move_1w
earnings decimal? post_earnings_move_2w post_earnings_move_3d pre_earnings_move_1d pre_earnings_move_1w
earnings decimal? pre_earnings_move_2w pre_earnings_move_3d short_straddle_1d short_straddle_1w
earnings text report_time source
earnings-premarket boolean has_options is_s_p_500
earnings-premarket date ending_fiscal_quarter report_date
earnings-premarket date? post_earnings_date pre_earnings_date
earnings-premarket decimal expected_move expected_move_perc marketcap street_mean_est
earnings-premarket decimal? actual_eps post_earnings_close pre_earnings_close reaction
earnings-premarket text continent country_code country_name full_name report_time sector source symbol
economic-calendar text event type
economic-calendar text? forecast prev reported_period
economic-calendar time time
etf-flow boolean is_fomc
etf-flow date date
etf-flow decimal change_prem close
etf-flow integer change volume
fails date date
fails decimal price
fails integer quantity
fda-calendar boolean has_options
fda-calendar date end_date start_date
fda-calendar decimal marketcap
fda-calendar text catalyst description drug indication status ticker
fda-calendar text? notes outcome outcome_brief source_link
headlines boolean is_major
headlines list tags tickers
headlines object meta
headlines text headline sentiment source
headlines time created_at
info boolean has_dividend has_earnings_history has_investment_arm has_options
info date? next_earnings_date
info decimal avg30_volume beta marketcap
info list uw_tags
info text announce_time full_name issue_type marketcap_size short_description symbol
info text? sector
insider-flow date date
insider-flow decimal premium
insider-flow integer transactions uniq_insiders volume
insider-flow number avg_price
insider-flow text buy_sell
interpolated-iv date date
interpolated-iv decimal implied_move_perc percentile volatility
interpolated-iv integer days
max-pain date expiry
max-pain decimal max_pain
net-prem-ticks date date
net-prem-ticks decimal net_call_premium net_delta net_put_premium
net-prem-ticks integer call_volume call_volume_ask_side call_volume_bid_side net_call_volume net_put_volume put_volume
net-prem-ticks integer put_volume_ask_side put_volume_bid_side
net-prem-ticks time tape_time
oi-per-strike date date
oi-per-strike decimal strike
oi-per-strike integer call_oi put_oi
options-volume date date
options-volume decimal avg_30_day_call_volume avg_30_day_put_volume avg_3_day_call_volume avg_3_day_put_volume
options-volume decimal avg_7_day_call_volume avg_7_day_put_volume bearish_premium bullish_premium call_premium
options-volume decimal net_call_premium net_put_premium put_premium
options-volume integer call_open_interest call_volume call_volume_ask_side call_volume_bid_side put_open_interest
options-volume integer put_volume put_volume_ask_side put_volume_bid_side
ownership date filing_date first_buy report_date
ownership decimal avg_price inst_share_value inst_value shares_outstanding value
ownership integer units units_change
ownership list historical_units people tags
ownership text name short_name
realized-volatility date date
realized-volatility date? unshifted_rv_date
realized-volatility decimal implied_volatility price
realized-volatility decimal? realized_volatility
risk-reversal date date
risk-reversal decimal risk_reversal
risk-reversal integer delta
risk-reversal text ticker
screener boolean is_index
screener date date
screener date? next_dividend_date next_earnings_date
screener decimal avg_30_day_call_volume avg_30_day_put_volume avg_3_day_call_volume avg_3_day_put_volume
screener decimal avg_7_day_call_volume avg_7_day_put_volume bearish_premium bullish_premium call_premium close
screener decimal implied_move implied_move_perc iv30d iv30d_1d iv30d_1m iv30d_1w iv_rank marketcap net_call_premium
screener decimal net_put_premium prev_close put_premium relative_volume volatility week_52_high week_52_low
screener decimal? put_call_ratio
screener integer call_open_interest call_volume call_volume_ask_side call_volume_bid_side prev_call_oi prev_put_oi
screener integer put_open_interest put_volume put_volume_ask_side put_volume_bid_side total_open_interest
screener text issue_type ticker
screener text? er_time sector
sector-tide date date
sector-tide decimal net_call_premium net_put_premium
sector-tide integer net_volume
sector-tide time timestamp
short-interest date market_date
short-interest decimal days_to_cover fee_rate rebate_rate si_float si_float_with_synth_long_pct_of_total_shares
short-interest integer short_interest short_shares_available total_float
short-interest text symbol
short-volume date market_date
short-volume decimal close_price short_volume_ratio
short-volume integer short_volume total_volume
spot-exposures decimal charm_per_one_percent_move_dir charm_per_one_percent_move_oi charm_per_one_percent_move_vol
spot-exposures decimal gamma_per_one_percent_move_dir gamma_per_one_percent_move_oi gamma_per_one_percent_move_vol
spot-exposures decimal price vanna_per_one_percent_move_dir vanna_per_one_percent_move_oi
spot-exposures decimal vanna_per_one_percent_move_vol
spot-exposures time time
term-structure date date expiry
term-structure decimal implied_move implied_move_perc volatility
term-structure integer dte
top-net-impact number net_premium
top-net-impact text ticker
volatility-stats date date
volatility-stats decimal iv iv_high iv_low iv_rank rv rv_high rv_low
volatility-stats text ticker
"""
"""An endpoint, a type, and the fields of that type, a row each."""
SHAPES: dict[str, dict[str, str]] = {}
for _row in _TABLE.split("\n")[1:-1]:
    _series, _kind, *_fields = _row.split()
    SHAPES.setdefault(_series, {}).update(dict.fromkeys(_fields, _kind))
SHAPES["earnings-afterhours"] = SHAPES["earnings-premarket"]


def path_of(endpoint: FlowEndpoint, ticker: str = "", sector: str = "Technology") -> str:
    """Return an endpoint's path with the query that it needs, for a ticker that it knows something of."""
    ticker = ticker or ("SPY" if endpoint.series == "etf-flow" else "AAPL")
    path = endpoint.path.replace("{ticker}", ticker).replace("{sector}", quote(sector))
    return f"{path}?{_QUERIES.get(endpoint.series, '')}"
