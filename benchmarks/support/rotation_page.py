"""Write docs/ROTATION.md: the published claim, its reproduction, and the result under honest assumptions."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from statistics import median, quantiles
from textwrap import fill

from benchmarks.support.rotation_figures import BY_CHANCE, Excess, Figures, bad_year, between, excess, levered, turnover
from benchmarks.support.rotation_runs import CASH, Data, Played, closes, funds_rates
from tradebot.timetable.strategy_times import SESSIONS_OF_MONTH

HOLDINGS = Path(__file__).parents[2] / "docs" / "rotation_holdings.csv"
LEVERAGE, SPREAD = 1.25, 0.015
CLAIMED = (0.1301, 1.712, 0.152)
"""The published growth, Sharpe ratio and drawdown."""
LINES = (
    ("stale", "As published, with its mistake: sizes are computed from an account valued at its last fills' prices"),
    ("marked", "Sizes are computed from an account valued at market prices"),
    ("paying", "It pays the funds rate for what it borrows, and earns it on cash"),
    ("dearly", "A loan costs 1.5% more than the funds rate, as at a cheap broker"),
    ("next open", "It trades at the next open, not at the close that it ranks by"),
    ("cheaply", "Trading costs 5 bps instead of 15"),
    (
        "honest",
        "As the bot trades: at the first session's open, ranked by the close before; raw prices, dividends in cash",
    ),
)
"""The assumptions in order; each row includes those above it."""
PERIODS = (
    ("2003 to 2019", date(2003, 1, 2), date(2019, 12, 31)),
    ("2020 to 2024", date(2020, 1, 1), date(2024, 12, 31)),
    ("2025", date(2025, 1, 1), date(2025, 12, 23)),
)


@dataclass(frozen=True)
class Runs:
    """All runs by name, and the data that they were played on."""

    played: Mapping[str, Played]
    data: Data

    def figures(self, name: str) -> Figures:
        """Return a run's figures."""
        return Figures.of(self.played[name].values)

    @cached_property
    def spy(self) -> Mapping[date, float]:
        """Return SPY's adjusted closes over the longest run."""
        sessions = list(self.played["long"].values)
        return closes(self.data, "SPY", sessions[0], sessions[-1])

    def benchmark(self, leverage: float, sessions: Iterable[date]) -> Mapping[date, float]:
        """Return SPY at a leverage, with the same interest as the rotation."""
        closes = {session: self.spy[session] for session in sessions}
        rates = {day: rate + SPREAD for day, rate in funds_rates(self.data, closes).items()}
        return levered(closes, leverage, rates)

    @property
    def band(self) -> Sequence[float]:
        """Return the growth for each session of the month in which it could trade, the first session first."""
        others = (f"{name} session" for name in SESSIONS_OF_MONTH[1:])
        return [self.figures(name).growth for name in ("honest", *others)]


def page(runs: Runs) -> str:
    """Return the page."""
    return "\n".join([
        *_beginning(runs), *_reproduction(runs), *_assumptions(runs), *_halts(runs), *_band(runs), *_benchmark(runs),
        *_periods(runs), *_end(),
    ])  # fmt: skip


def _beginning(runs: Runs) -> Iterator[str]:
    published, honest = runs.figures("stale"), runs.figures("honest")
    yield f"""\
# The sector rotation, and what its figures are worth

Once a month, the rule ranks eleven sector funds by their return over half a year, dividends included, and holds the
strongest three at 1.25 times the equity. If none has gained, it holds a fund of long bonds. `tradebot init --profile
rotation` sets up a bot that follows this rule. This page says what the rule has earned, and why nobody should expect
the same.

In short:

* Its published Sharpe ratio of 1.712 is {_ratio(published.sharpe)}, and its published drawdown of 15% was
  {_percent(published.drawdown.depth, 0)}.
* With honest assumptions it made {_percent(honest.growth)} a year from 2020 to 2024. On another session of each
  month, the same rule made anything from {_percent(min(runs.band))} to {_percent(max(runs.band))} a year.
* Five years can't distinguish it from an index fund.

One command makes this page, from data that is not part of the project (see [the end](#make-this-page-yourself)). Every
run uses the live bot's own code (its strategy, gates, sizes, orders and books) on the engine of the embedded exchange.
"""


def _reproduction(runs: Runs) -> Iterator[str]:
    stale, played = runs.figures("stale"), runs.played["stale"]
    agreeing = _agreeing(played)
    yield f"""\
## The claim, reproduced

This run goes from 2020-01-02 to 2024-12-30, with {CASH:,.0f} USD. On the first session of each month, the rule ranks
and trades at that session's close. It pays 15 bps for each trade and borrows free of charge. Its sizes are computed
from an account that values each position at the price of its last fill. The settings are those of
[config/studies/rotation_published.yaml](../config/studies/rotation_published.yaml). Halts, limits and a broker's margin
requirements are turned off.

| | claimed | its own result file | here |
|---|---|---|---|
| growth per year | 13.01% | 13.01% | {_percent(stale.growth, 2)} |
| Sharpe ratio | 1.712 | 1.712 | {_ratio(stale.sharpe_by(2190))} by √2190, {_ratio(stale.sharpe)} by √252 |
| maximum drawdown | 15.2% | 40.2% | {_percent(stale.drawdown.depth)}, {_span(stale)} |
| trades | | 227 | {played.orders} |
| rebalances, and how many hold the funds of [its table](rotation_holdings.csv) | | 60 | {agreeing[1]}, {agreeing[0]} |

The claimed Sharpe ratio is that of daily returns, multiplied by the root of 2,190, the number of four-hour bars in a
year of days and nights. But daily returns come 252 times a year, so it is {_ratio(stale.sharpe)}.
The claimed drawdown appears in none of its files.
"""


def _assumptions(runs: Runs) -> Iterator[str]:
    yield """\
## What each assumption is worth

Each row changes one assumption, and keeps the changes of the rows above it.

| assumption | growth per year | worth | drawdown | Sharpe | orders |
|---|---|---|---|---|---|"""
    before: Figures | None = None
    for name, words in LINES:
        figures = runs.figures(name)
        worth = "" if before is None else f"{100 * (figures.growth - before.growth):+.2f}"
        yield (
            f"| {words} | {_percent(figures.growth, 2)} | {worth} | {_percent(figures.drawdown.depth)} | "
            f"{_ratio(figures.sharpe)} | {runs.played[name].orders} |"
        )
        before = figures
    honest, played = runs.figures("honest"), runs.played["honest"]
    dear, later = runs.figures("twice the costs"), runs.figures("a day later")
    paid = -sum(usd for kind, usd in played.booked_usd.items() if kind != "DIV")
    yield f"""
Growth is compounded from the value after the first session. The Sharpe ratio is annualized with √252, and no cash
rate is deducted. The last row has the settings of
[config/studies/rotation_honest.yaml](../config/studies/rotation_honest.yaml); everything below starts from these
settings. That run trades {turnover(played):.1f} times its value a year, one way, and paid {paid:,.0f} USD of interest
in five years.

If costs are twice as high, 10 bps for each trade and 3% above the funds rate for the loan,
{_percent(dear.growth)} a year is left of {_percent(honest.growth)}. If the rule trades a session later, it earns
{_percent(later.growth)}.
"""


def _halts(runs: Runs) -> Iterator[str]:
    name, first, last = PERIODS[0]
    fall, session = bad_year(Figures.of(between(runs.played["long"].values, first, last)))
    halted = runs.played["halted"]
    halt_days = " and ".join(f"on {halt.at.date()} ({halt.why})" for halt in halted.halts)
    why = f"""Judging by {name}, the rule falls in one year of twenty by {_percent(-fall)} or more from its highest
value, and by {_percent(-session)} or more in a session. The halts of the profile are a little above these figures.
(`report` shows the figures for any backtest, and the halts that fit them.) No later data went into the halts, and a
year that is worse than nineteen of twenty reaches them, as 2008 did. So the halts stopped this run {halt_days}."""
    yield f"""\
## The shipped halts

{fill(why, 120)}

A halted bot doesn't rotate, because it couldn't buy the next funds. It keeps its funds until a person ends the halt,
and sells them only if the rule wants cash. For backtests the profile assumes that its owner accepts each halt and ends
it five sessions later (`backtest.unhalt_after_sessions`). So the run follows the rule to its end, and earns
{_percent(Figures.of(halted.values).growth)} a year. With `null` nobody ends the halt, and the bot keeps the
funds of that day. No other run on this page halts, because halts are turned off.
"""


def _band(runs: Runs) -> Iterator[str]:
    growth = runs.band
    by_session = [f"{name} {_percent(each)}" for name, each in zip(SESSIONS_OF_MONTH, growth, strict=True)]
    row = " | ".join(_percent(each) for each in (min(growth), *quantiles(growth, n=4), max(growth), growth[0]))
    yield f"""\
## Luck with the day

The rule says the first session of each month. Nothing in its idea requires that. This is what the same rule earns a
year on the n-th session of each month, for n from 1 to 21. In a month with fewer sessions, it trades on the last one.

| worst | lowest quarter | median | highest quarter | best | the first session, as published |
|---|---|---|---|---|---|
| {row} |

{fill(f"By session: {', '.join(by_session)}.", 120)}

Nobody could have known which of these results they would get. So the median of {_percent(median(growth))} says more
about the rule than the {_percent(growth[0])} of the first session.
"""


def _benchmark(runs: Runs) -> Iterator[str]:
    honest = runs.figures("honest")
    rows: list[tuple[str, Figures, Excess | None]] = [("the rotation", honest, None)]
    for leverage in (1.0, LEVERAGE):
        values = runs.benchmark(leverage, honest.sessions)
        name = "SPY" if leverage == 1 else f"SPY at {leverage:g} times, paying the same interest"
        rows.append((name, Figures.of(values), excess(honest, values)))
    yield """\
## Against SPY

| 2020 to 2024 | growth per year | volatility | drawdown | Sharpe | the rotation above it, per year |
|---|---|---|---|---|---|"""
    for name, figures, above in rows:
        fall = f"{_percent(figures.drawdown.depth)}, {_span(figures)}"
        yield (
            f"| {name} | {_percent(figures.growth)} | {_percent(figures.volatility)} | {fall} | "
            f"{_ratio(figures.sharpe)} | {_above(above)} |"
        )
    yield f"""
The intervals contain {_percent(BY_CHANCE.level, 0)} of {BY_CHANCE.resamples:,} resamples of the daily differences in
log returns, in blocks of {BY_CHANCE.mean_block} sessions on average (Politis and Romano's stationary bootstrap, 1994),
as in the report of any backtest.
"""


def _periods(runs: Runs) -> Iterator[str]:
    values = runs.played["long"].values
    yield """\
## Before 2020 and after

This is one run from 2003, the first year in which the bond fund has half a year of prices. Until 2018 there were nine
or ten sector funds; the rule ranks those that have their bars (`min_ranked: 9`).

| | growth per year | drawdown | SPY | SPY at 1.25 times | the rotation above that, per year |
|---|---|---|---|---|---|"""
    for name, first, last in (("2003 to 2025", PERIODS[0][1], PERIODS[-1][2]), *PERIODS):
        figures = Figures.of(between(values, first, last))
        plain = Figures.of(runs.benchmark(1.0, figures.sessions))
        same = runs.benchmark(LEVERAGE, figures.sessions)
        fall, levered_growth = f"{_percent(figures.drawdown.depth)}, {_span(figures)}", Figures.of(same).growth
        yield (
            f"| {name} | {_percent(figures.growth)} | {fall} | {_percent(plain.growth)} | {_percent(levered_growth)} | "
            f"{_above(excess(figures, same))} |"
        )
    yield ""


def _end() -> Iterator[str]:
    yield """\
## What this can't know

* Sixty rebalances are few, and they saw one pandemic and one rise of interest rates.
* The rule was chosen by somebody who had seen most of these years. Nobody knows how many others were tried and dropped,
  so no figure here is corrected for that.
* The prices are a vendor's, adjusted for dividends up to the day of the download. Another vendor's prices differ a
  little, and share counts differ with them. Dividends are paid on the ex-date, because the file doesn't say when they
  were really paid.
* A day has two prices here, the open and the close. The price that an order would really have paid in the first
  minutes isn't among them, so 5 bps is an assumption.
* Taxes are left out. Most of these gains are short-term.

## Make this page yourself

```sh
.venv/bin/python -m benchmarks.rotation --data FOLDER
```

The folder needs two files. `etf_daily_adj.parquet` has the columns date, symbol, open, high, low, close, volume,
dividends and stock_splits: daily prices of the eleven sector funds, TLT and SPY, adjusted for splits and dividends.
`effr_daily.csv` has the columns date and effr: the effective federal funds rate, in percent a year.
"""


def _agreeing(played: Played) -> tuple[str, int]:
    """Return how many rebalances have the funds of the committed table, and the number of rebalances."""
    with HOLDINGS.open(encoding="utf-8", newline="") as file:
        table = {date.fromisoformat(row["session"]): tuple(row["funds"].split()) for row in csv.DictReader(file)}
    same = sum(played.held.get(session) == funds for session, funds in table.items())
    return "all of them" if same == len(table) else f"{same} of them", len(table)


def _percent(value: float, places: int = 1) -> str:
    return f"{100 * value:.{places}f}%"


def _ratio(value: float) -> str:
    return f"{value:.3f}" if value > 1 else f"{value:.2f}"


def _span(figures: Figures) -> str:
    fall = figures.drawdown
    return f"{fall.peak} to {fall.trough}"


def _above(excess: Excess | None) -> str:
    if excess is None:
        return ""
    return f"{100 * excess.value:+.1f}% ({100 * excess.low:+.1f} to {100 * excess.high:+.1f})"
