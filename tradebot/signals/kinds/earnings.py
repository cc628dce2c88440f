"""When a company reports its earnings."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from tradebot.model.kind import NEW_YORK, Kind, Row, SymbolFact, documented
from tradebot.signals import rows

UNKNOWN = "unknown"
WHEN = ("premarket", "postmarket", UNKNOWN)


class EarningsReport(SymbolFact, frozen=True):
    """One report: its date, and whether it is expected premarket, postmarket, or at an unknown time.

    `seen` is the day of the reply for a report that is still to come, and the report's own date for an earlier one.
    """

    seen: date
    date: date
    when: str


class EarningsFacts(NamedTuple):
    """The next report as the last reply had it, which may be past by now. `next` is None if it had none."""

    next: date | None
    when: str


def _parse(row: Row, symbol: str, at: datetime) -> EarningsReport:
    day = rows.day(row, "report_date")
    when = (rows.optional(rows.text, row, "report_time") or UNKNOWN).lower()
    if when not in WHEN:
        raise rows.BadRowError("report_time is none that the source documents")
    return EarningsReport(day.isoformat(), symbol, min(day, at.astimezone(NEW_YORK).date()), day, when)


def _condense(reports: Sequence[EarningsReport]) -> EarningsFacts:
    """Return the next report. If its date was moved, the date in the last reply is the one that counts."""
    newest = max(report.seen for report in reports)
    coming = [report for report in reports if report.seen == newest and report.date >= newest]
    following = min(coming, key=lambda report: report.date)
    return EarningsFacts(following.date, following.when)


KIND = Kind(
    name="earnings",
    unit="date",
    sign="none: when the next report is due",
    absent="no report known",
    fact=EarningsReport,
    path="/api/earnings/{}",
    parse=_parse,
    moment=lambda report: report.seen,
    condense=_condense,
    past_days=7,
    max_age_s=7 * 86_400,
    fields=documented(
        "text report_date, text? report_time source ending_fiscal_quarter, decimal? actual_eps street_mean_est "
        "expected_move expected_move_perc long_straddle_1d long_straddle_1w short_straddle_1d short_straddle_1w "
        "pre_earnings_move_1d pre_earnings_move_3d pre_earnings_move_1w pre_earnings_move_2w post_earnings_move_1d "
        "post_earnings_move_3d post_earnings_move_1w post_earnings_move_2w"
    ),
)
