"""Describe the assumptions behind each block of a report, and what is unknown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby

from tradebot.lab.performance.activity import Exposure
from tradebot.lab.performance.curve import BenchmarkPrices, Rates
from tradebot.lab.performance.report import Block, Figure
from tradebot.lab.performance.returns import Path
from tradebot.model.sentences import counted_kind, pluralize
from tradebot.model.venue import Settlement
from tradebot.views.trades.fees import fees_assumption

NAMES = {"CAGR", "Sharpe ratio", "Sortino ratio", "Calmar ratio"}
SHORT = {"psr": "PSR", "min_track_record": "MinTRL"}
"""Shorter names of figures for use within a sentence."""
NAMED = 5
"""How many missing sessions are named; of more, only the number and the first ones are shown."""
PROFIT = (
    "Profit is computed from the broker's equity at the close, or from the last equity that a pass read. Its"
    " parts come from the books: cash, and positions at the last recorded prices of their sessions."
)


def assumptions(
    path: Path, benchmark: BenchmarkPrices, rates: Rates, exposed: Exposure | None, settlement: Settlement
) -> Mapping[Block, tuple[str, ...]]:
    return {
        Block.CURVE: tuple(_of_curve(path, benchmark, rates, exposed)),
        Block.RETURNS: tuple(_of_returns(path, rates)),
        Block.MONTHS: ("A return counts in the month in which it ended.",),
        Block.DRAWDOWNS: (
            "Drawdowns are measured between the ends of sessions; within a session, the account may have been lower.",
        ),
        Block.ACTIVITY: (
            "Exposure is the market value of long and short positions divided by equity, session by session."
            " Turnover is half of what was bought and sold, divided by the average equity. Slippage is measured"
            " against the midpoint of bid and ask at the time of the decision; a positive slippage is a cost.",
        ),
        Block.TRADES: (
            "A trade counts once, when it is closed, with its profit after fees. Payoff is the average win"
            " divided by the average loss. The profit factor is the sum of all wins divided by the sum of all"
            " losses.",
            fees_assumption(settlement),
        ),
        Block.ATTRIBUTION: ("Each of these tables adds up to the same profit.",),
        Block.REFUSALS: (
            "A refused trade is entered at the open of the next minute's bar and held until the close, before costs.",
        ),
    }


def _of_curve(path: Path, benchmark: BenchmarkPrices, rates: Rates, exposed: Exposure | None) -> Iterator[str]:
    yield (
        "The curve shows the broker's equity at the close of each session. Where the broker didn't report"
        " that, it shows the last equity that a pass read."
    )
    if any(step.transfers_usd for step in path.steps):
        yield (
            "Deposits and withdrawals are not returns. They count at the end of their session, so nothing is "
            "earned on them that day."
        )
    if benchmark.closes:
        yield _of_benchmark(benchmark, exposed)
    yield _of_cash(path, rates)
    if benchmark.closes and exposed and exposed.gross > 1:
        yield f"Borrowing for {benchmark.symbol} at equal leverage costs {_borrowing(rates)}."


def _borrowing(rates: Rates) -> str:
    if rates.borrowing_yearly is not None:
        return f"what the account pays, {rates.borrowing_yearly:.2%} a year"
    return f"what cash earns{f' and {rates.borrowing_spread:.2%} a year' if rates.borrowing_spread else ''}"


def _of_benchmark(of: BenchmarkPrices, exposed: Exposure | None) -> str:
    how = of.how or f"{of.symbol} is held from the first session on, with dividends, without costs or taxes."
    they, have, are = ("they", "have", "are") if of.how else ("it", "has", "is")
    if exposed is None:
        return f"{how} At equal leverage, {they} {are}n't shown, because the account's exposure isn't known."
    rest = "borrowed" if exposed.gross > 1 else "cash"
    return (
        f"{how} At equal leverage, {they} {have} the same exposure as the account in each session"
        f" ({exposed.gross:.0%} on average), and the rest is {rest}."
    )


def _of_cash(path: Path, rates: Rates) -> str:
    if rates.dated and path.sessions:
        yearly = [rates.on(day) for day in path.sessions]
        return (
            f"Cash earns each day's rate, as given to the backtest: from {min(yearly):.2%} to {max(yearly):.2%}"
            " per year in this span."
        )
    if rates.cash_yearly:
        return f"Cash earns {rates.cash_yearly:.2%} per year, the rate set by report.cash_rate."
    return "Cash earns nothing, because report.cash_rate isn't set."


def _of_returns(path: Path, rates: Rates) -> Iterator[str]:
    if path.steps:
        yield (
            f"Figures per year are scaled from the available returns: {pluralize(len(path.steps), 'return')} in"
            f" {pluralize(len(path.sessions), 'session')}, which makes {path.per_year:.0f} returns in a year of"
            f" {path.year} sessions."
        )
    constant = f"{rates.cash_yearly:.2%} a year, what cash earns" if rates.cash_yearly else "zero"
    above = "what cash earned meanwhile" if rates.dated else constant
    yield (
        f"Sharpe and Sortino ratios use returns in excess of {above}. PSR is the chance that the true Sharpe"
        " ratio is above 0. MinTRL is how many sessions like these it takes to show that (Bailey and López de"
        " Prado, 2012)."
    )
    yield (
        "Intervals have 95% confidence. They assume that sessions are independent and that the future"
        " resembles the past. The interval of the Sharpe ratio allows for skewness and fat tails (Mertens,"
        " 2002)."
    )
    if path.missing:
        yield _missing(path.missing)


def _missing(days: Sequence[date]) -> str:
    shown = join_names([str(day) for day in days[:NAMED]]) if len(days) <= NAMED else f"{days[0]} to {days[-1]}"
    return (
        f"The account wasn't read in {pluralize(len(days), 'session')} ({shown}); the next return covers "
        f"{'it' if len(days) == 1 else 'them'} too."
    )


def what_is_lacking(figures: Iterable[Figure]) -> Iterator[str]:
    """Yield a sentence for each kind of observation of which there are too few: how many there are, and how many it
    takes.
    """
    lacking = sorted((each for each in figures if each.lacks), key=lambda each: (each.of, each.needed))
    for kind, group in groupby(lacking, key=lambda each: each.of):
        rows = list(group)
        by_need = groupby(rows, key=lambda each: each.needed)
        needs = [f"{needed:,} for {join_names([_within(each) for each in some])}" for needed, some in by_need]
        most = max(each.observations for each in rows)
        sentence = (
            f"There {'is' if most == 1 else 'are'} {counted_kind(most, kind)}" if most else f"There are no {kind}"
        )
        yield f"{sentence}; it takes {', '.join(needs)}."


def join_names(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _within(figure: Figure) -> str:
    """Return a figure's label for use within a sentence, without its explanation."""
    label = SHORT.get(figure.name, figure.label)
    return label if figure.name in SHORT or label in NAMES else label[0].lower() + label[1:]
