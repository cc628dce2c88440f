"""What the page says in whole sentences: what was earned, compared with what, and how much to believe."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from commands.report.contents import is_recorded, leveled
from commands.report.numbers import interval_of, percent, value_of
from tradebot.model.text import counted, counted_kind

if TYPE_CHECKING:
    from tradebot.views.performance.report import AccountReport, Figure


def span(account: "AccountReport") -> str:
    """Return the first and the last session of an account that has some."""
    if account.from_session == account.to_session:
        return str(account.from_session)
    return f"{account.from_session} to {account.to_session}"


def headline(account: "AccountReport", name: str, yet: str) -> str:
    """Return what the account, or the named part of it, earned; `yet` ends the sentence if nothing is recorded."""
    if not is_recorded(account):
        return f"{name} has no records {yet}"
    profit = account.earned.profit_usd
    if not round(profit, 2):
        return f"{name} earned nothing"
    return f"{name} {'earned' if profit > 0 else 'lost'} {abs(profit):,.2f} USD"


def lede(account: "AccountReport") -> str:
    """Return the return of the whole account beside those of the benchmark and of cash."""
    total = next((each for each in account.comparisons if each.of == "total_return"), None)
    if total is None or not total.account.value is not None:
        return ""
    others = list(_others(account))
    beside = f" Meanwhile, {_and(others)}." if others else ""
    moved = ", without what was moved in or out" if account.earned.transfers_usd else ""
    return f"The account's return was {value_of(total.account)}{moved}.{beside}"


def _others(account: "AccountReport") -> Iterator[str]:
    total = next(each for each in account.comparisons if each.of == "total_return")
    if total.benchmark.value is not None:
        yield f"{account.benchmark} returned {value_of(total.benchmark)}"
    if total.benchmark_leveled.value is not None and (name := leveled(account)):
        exposure = next(each.value for each in account.activity if each.name == "exposure")
        rest = "borrowed" if exposure is not None and exposure > 1 else "in cash"
        yield f"{name} with the rest {rest} {value_of(total.benchmark_leveled)}"
    if total.cash.value:
        yield f"cash {value_of(total.cash)}"


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def belief(account: "AccountReport") -> list[str]:
    """Return in sentences how far the returns could be chance, or what it takes to tell."""
    figures = {figure.name: figure for figure in account.returns}
    sharpe, psr, track = (figures[name] for name in ("sharpe", "psr", "min_track_record"))
    if sharpe.lacks:
        return [
            f"It is too early to tell skill from luck. There are {counted_kind(sharpe.observations, sharpe.of)}; "
            f"a Sharpe ratio takes {sharpe.needed:,}."
        ]
    return [*_sharpe(sharpe), *_track(psr, track)]


def _sharpe(sharpe: "Figure") -> Iterator[str]:
    if sharpe.value is None:
        yield f"There is no Sharpe ratio: {sharpe.note}."
        return
    interval = interval_of(sharpe)
    within = f", and its 95% interval is {interval}" if interval else ""
    verdict = ""
    if sharpe.low is not None and sharpe.high is not None:
        spans = sharpe.low <= 0 <= sharpe.high
        verdict = " Zero is within it, so all of this could be luck." if spans else " Zero is not within it."
    yield f"The Sharpe ratio is {value_of(sharpe)}{within}.{verdict}"


def _track(psr: "Figure", track: "Figure") -> Iterator[str]:
    if psr.value is not None:
        yield f"The chance that the true ratio is above 0 is {value_of(psr)}, if the future is like the past."
    if track.value is None:
        if track.note:
            yield f"{track.note[0].upper()}{track.note[1:]}."
        return
    needed = counted(round(track.value), "session")
    enough = "that is enough" if track.observations >= track.value else "that is not enough yet"
    yield (
        f"To be 95% sure of that takes {needed} like these. There are {counted_kind(track.observations, track.of)}; "
        f"{enough}."
    )


def drawdown_words(account: "AccountReport") -> str:
    """Return the deepest drawdown with its dates; empty if there is none."""
    if not account.drawdowns:
        return ""
    fall = account.drawdowns[0]
    return f"The deepest drawdown was {percent(fall.depth)}, from {fall.from_session} to {fall.trough}."


def curve_words(accounts: "Sequence[AccountReport]") -> str:
    """Return what the picture of the curves shows, for those who can't see it."""
    return " ".join(_grown(each, alone=len(accounts) == 1) for each in accounts if len(each.curve) > 1)


def _grown(account: "AccountReport", *, alone: bool) -> str:
    growth = account.curve[-1].index - 1
    name, verb = "the account" if alone else account.label, "grew" if growth >= 0 else "shrank"
    return f"{span(account)}: {name} {verb} by {abs(growth):.2%}. {drawdown_words(account)}"
