"""Reports of made-up accounts."""

from datetime import timedelta
from functools import cache

from tests.views.performance.played import known, past, rotated, sessions, spy

from tests.kit.values import VENUE_DAY
from tradebot.model.values import replace
from tradebot.views.performance.history import History
from tradebot.views.performance.report import AccountReport, RefusalsWorth, Report
from tradebot.views.performance.reporting import Material, account_report

REFUSALS = (RefusalsWorth("flow", 41, 18, -123.4, -289.1, 42.2, 1000, "What was refused would have lost 123.40 USD."),)


@cache
def account(count: int, seed: int = 1, label: str = "state") -> AccountReport:
    """Return the report of an account that made a round trip in each of so many sessions."""
    return account_report(Material(label, past(seed, count), sessions(count), spy(2, count), 0.04, REFUSALS))


@cache
def long_backtest(count: int = 530) -> AccountReport:
    """Return the report of a backtest that rotated with leverage, with everything that is known beside its books."""
    history = rotated(1, count)
    return account_report(Material("state", history, sessions(count), spy(2, count), 0.0, evidence=known(count)))


def new_account() -> AccountReport:
    return account_report(
        Material("state", History("0001", "sandbox", VENUE_DAY, None, past(1, 1).opening_cash), [], spy(2, 1), 0)
    )


def report(*accounts: AccountReport) -> Report:
    return Report(past(1, 1).at, None, None, None, None, accounts)


def with_trades(account: AccountReport, count: int) -> AccountReport:
    (first, *_) = account.trades
    minutes = (timedelta(minutes=number) for number in range(count))
    assert first.closed_at
    closed = first.closed_at
    trades = (replace(first, id=f"t{at.seconds}", closed_at=closed + at) for at in minutes)
    return replace(account, trades=tuple(trades))


def without_exposure(of: AccountReport) -> AccountReport:
    figures = (replace(each, value=None) if each.name == "exposure" else each for each in of.activity)
    return replace(of, activity=tuple(figures))
