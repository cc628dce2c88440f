"""The tax file and its screen, worked by hand: every figure below was computed on paper."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from commands.shared.verb_options import console
from commands.trades.tax import COLUMNS, NO_ADVICE, Tax, format_csv, render, sales_of_year
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.trades import fee, on, tax_history, traded
from tests.kit.values import cash_movement, fill
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.errors import OperatorError
from tradebot.model.account import Booking, Entry
from tradebot.model.order import Fee
from tradebot.model.position import Origin
from tradebot.model.struct_tools import replace
from tradebot.views.trades.history import History

WASHED = tax_history(
    traded(
        "2025-06-02 buy 100 50",
        "2025-12-22 sell 100 42",
        "2026-01-12 buy 60 40 momentum",
        "2026-03-02 sell 20 45 hand",
        "2026-06-03 sell 40 47 momentum",
    ),
    fee("2025-12-22", "-0.12"),
    fee("2026-06-03", "-0.05"),
    until="2026-06-30",
)
"""A loss of 8 a share in December, of which 60 shares are bought again by another strategy in January.

The loss is 100 x 50 - (100 x 42 - 0.12) = 800.12. For 60 of 100 shares, 480.072 of it doesn't count. So the 60 shares
cost 60 x 40 + 480.072 = 2,880.072, which is 960.024 for 20 and 1,920.048 for 40. They count as held 203 days longer.
"""


def shown(data: Tax) -> str:
    screen = console()
    with screen.capture() as captured:
        render(screen, data)
    return captured.get()


def lines(history: History, year: int) -> list[str]:
    return format_csv(sales_of_year(history, year, "fifo")).splitlines()[1:]


def test_tax_file_of_a_wash_sale_across_new_year_matches_a_case_by_hand() -> None:
    assert lines(WASHED, 2025) == [
        "100 sh. AAPL,2025-06-02,2025-12-22,4199.88,5000.00,W,480.07,-320.05,short,,AAPL,long,100,0.12,flow,fill-1,"
        "fill-2,fill-3"
    ]
    assert lines(WASHED, 2026) == [
        "20 sh. AAPL,2026-01-12,2026-03-02,900.00,960.02,,0.00,-60.02,short,2025-06-23,AAPL,long,20,0.00,momentum,"
        "fill-3,fill-4,",
        "40 sh. AAPL,2026-01-12,2026-06-03,1879.95,1920.05,,0.00,-40.10,short,2025-06-23,AAPL,long,40,0.05,momentum,"
        "fill-3,fill-5,",
    ]


def test_tax_screen_shows_rows_totals_and_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert shown(sales_of_year(WASHED, 2025, "fifo")) == SCREEN


SCREEN = """\
1 row of 2025, as on Form 8949, the oldest shares first, in USD
sold shares   acquired    sold        proceeds     basis  code  adjustment     gain  term   strategy
100 sh. AAPL  2025-06-02  2025-12-22  4,199.88  5,000.00  W         480.07  -320.05  short  flow
Short-term: proceeds 4,199.88 - basis 5,000.00 + adjustment 480.07 = gain -320.05 USD in 1 row

What these figures rest on:
Lots are matched across the account (Treasury Regulation 1.1012-1(c)), the oldest shares first
  (tax.method: fifo), whatever strategy held them. Dates are trade dates in New York. Splits and
  symbol changes keep cost and dates. Shares that only pass from one strategy to another aren't
  sold.
Shares are long-term if they were held for more than one year, counted from the day after the
  purchase (IRS Publication 550 (2024); Rev. Rul. 66-97 for trade dates, 66-7 for the ends of
  months).
Wash sales (code W): a loss doesn't count to the extent that the same shares were bought within 30
  days before or after the sale, by any strategy or by hand. The loss is added to the basis of the
  shares bought, whose holding period then includes that of the shares sold (Internal Revenue Code
  sections 1091 and 1223(3); Treasury Regulations 1.1091-1 and 1.1091-2; IRS Publication 550
  (2024)). Shares left over from the purchase that was sold don't count as replacements (Rev. Rul.
  56-602). We know of no source on two more cases, and assume that shares sold again before the
  loss, and purchases that close a short sale, don't count either.
A short sale counts on the trade date of the purchase that closed it, and is short-term (Treasury
  Regulation 1.1233-1(a)). For a loss, the day of delivery would count (Rev. Rul. 2002-44), which
  may be in the next year; these rows don't consider that.
A sale's fees are subtracted from its proceeds, and a purchase's fees are part of its basis (IRS
  Publication 550 (2024)). A fee with the symbol and the time of a fill, such as a commission,
  belongs to that fill. The broker charges all other fees to the account for a whole day. These are
  shared among the lots that were sold on that day, or else on the last day with sales up to 4 days
  before. Each lot's share depends on the value it was sold for: the SEC and FINRA charge sales.
  Other fees are in no row.
Each row is rounded to the cent, and totals add the rows.
Not covered: options and other securities that are substantially identical, and other accounts of
  yours or your spouse's, such as an IRA. Compare with your broker's Form 1099-B, and see whether
  the rules have changed since.
This is not tax advice.
"""


def test_tax_year_without_sales_says_so() -> None:
    assert shown(sales_of_year(WASHED, 2024, "fifo")).startswith("There are no sales of 2024 to show.\n")
    assert format_csv(sales_of_year(WASHED, 2024, "fifo")) == ",".join(COLUMNS) + "\n"


def test_tax_year_in_the_future_is_refused() -> None:
    with pytest.raises(OperatorError, match="2027 has no trades yet: the books end on 2026-06-30") as refused:
        sales_of_year(WASHED, 2027, "fifo")
    assert refused.value.hint == "tradebot trades --tax 2026"


def notes(history: History, year: int = 2026) -> list[str]:
    return list(sales_of_year(history, year, "fifo").notes)


def test_tax_notes_say_when_the_books_began() -> None:
    history = tax_history(traded("2026-05-05 buy 10 50"), until="2026-06-30", opened_at=on("2026-05-04"))
    assert notes(history) == [
        "The books began on 2026-05-04. Earlier sales aren't known.",
        "The books end on 2026-06-30; the year may not be over.",
    ]
    assert notes(history, 2025) == ["The books began on 2026-05-04. Earlier sales aren't known."]


def test_tax_notes_name_shares_without_a_known_cost() -> None:
    history = tax_history(traded("2026-03-02 sell 10 60 hand"), acknowledged={"AAPL": Decimal(10)}, until="2027-01-04")
    data = sales_of_year(history, 2026, "fifo")
    assert format_csv(data).splitlines()[1] == (
        "10 sh. AAPL,not known,2026-03-02,600.00,not known,,0.00,not known,not known,,AAPL,long,10,0.00,foreign,"
        "not known,fill-1,"
    )
    assert notes(history) == [
        "The gain of 1 row isn't known (AAPL): the shares were in the account before the books began, or they came "
        "or left without a trade in the books. Totals leave it out.",
        "The broker has booked no fees for these sales so far; they would lower the proceeds.",
    ]
    assert "Term not known: 1 row whose gain isn't known" in shown(data)


def test_tax_notes_name_what_is_left_out_or_may_change() -> None:
    fills = traded(
        "2026-02-02 sell 10 50",
        "2026-05-04 buy 10 58",
        "2026-05-05 buy 20 60",
        "2026-05-12 sell 10 55",
        "2026-05-20 buy 6 56",
    )
    option = fill(9, "AAPL261120P00150000", strategy="", at=on("2026-02-02"))
    returned = cash_movement(on("2026-03-02"), Decimal(5), "DIVROC", Origin.ACTIVITY, "roc", "a return of capital")
    assert notes(tax_history((*fills, option), returned, fee("2026-05-12", "-0.04"), until="2026-06-01")) == [
        "The books end on 2026-06-01; the year may not be over.",
        "2 losses may still be disallowed: the 30 days after the sale aren't over on 2026-06-01.",
        "30.02 USD of disallowed losses are in the basis of shares that are still open.",
        "1 loss of short sales counted although shares were sold within 30 days; section 1091(e)(1) may disallow "
        "them. Ask an adviser.",
        "Left out, because they aren't shares: AAPL261120P00150000. Shares that an option delivered lack its premium.",
        "A dividend returned capital (DIVROC), which would lower the basis; it isn't taken off here.",
    ]


def test_tax_notes_say_how_many_rows_a_choice_hides() -> None:
    data = sales_of_year(WASHED, 2026, "fifo", strategy="flow")
    assert (data.rows, data.totals) == ((), ())
    assert data.notes[0] == "Showing 0 of 2 rows of 2026; the figures on disallowed losses cover all rows."


@pytest.fixture
def washed(copy: Bot) -> Bot:
    """Return a bot whose books hold a wash sale of the November in which it was made, with the sale's fee."""
    rows = ("2026-11-17 buy 10 50", "2026-11-18 sell 10 45", "2026-11-19 buy 4 44 momentum")
    with closing(SqliteLedger.open(copy.folder)) as ledger:
        ledger.apply_fills(traded(*rows), on("2026-11-19"))
        ledger.book(Booking((Entry("fee-1", "FEE", Decimal("-0.03"), "a fee", on("2026-11-18")),)), on("2026-11-19"))
    return copy


FILE = (
    "10 sh. AAPL,2026-11-17,2026-11-18,449.97,500.00,W,20.01,-30.02,short,,AAPL,long,10,0.03,flow,fill-1,fill-2,fill-3"
)


def test_tax_csv_is_written_and_summarized(washed: Bot, tmp_path: Path) -> None:
    said = washed.says("trades", "--tax", "2026", "--csv", str(tmp_path / "tax.csv"))
    assert (said.code, said.err) == (0, "")
    assert (tmp_path / "tax.csv").read_text().splitlines() == [",".join(COLUMNS), FILE]
    first, total, *others = said.out.splitlines()
    assert first.startswith("1 row written to ")
    assert total.startswith("Short-term: proceeds 449.97 - basis 500.00 + adjustment 20.01 = gain -30.02 USD in 1 row")
    assert " ".join(others).count(NO_ADVICE) == 1


def test_tax_csv_on_stdout_is_the_file_alone(washed: Bot) -> None:
    said = washed.says("trades", "--tax", "2026", "--csv", "-")
    assert (said.code, said.out.splitlines()) == (0, [",".join(COLUMNS), FILE])
    assert said.err.endswith(f"{NO_ADVICE}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--tax", "2026", "--from", "2026-01-01"),
        ("--tax", "2026", "--lots"),
        ("--tax", "2026", "--closed"),
        ("--tax", "2027"),
        ("--tax", "soon"),
        ("--tax", "26"),
    ],
)
def test_tax_year_refuses_options_that_choose_trades(bot: Bot, arguments: tuple[str, ...]) -> None:
    said = bot.says("trades", *arguments)
    assert (said.code, said.out) == (2, "")


def test_unknown_tax_method_is_refused(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEBOT_TAX__METHOD", "best")
    refuses(bot.says("trades", "--tax", "2026"), 2, "tax.method")


def test_tax_counts_contracts_with_their_multiplier_and_names_what_is_particular() -> None:
    bought, sold = traded("2026-03-02 buy 2 100", "2026-03-03 sell 2 103", symbol="ESM6")
    contracts = [
        replace(bought, fill=replace(bought.fill, multiplier=Decimal(50), fee=Fee(Decimal("2.50")))),
        replace(sold, fill=replace(sold.fill, multiplier=Decimal(50), fee=Fee(None))),
    ]
    data = sales_of_year(tax_history(contracts), 2026, "fifo")
    (row,) = data.rows
    assert row.description == "2 contracts ESM6"
    assert row.proceeds_usd == Decimal(10_300)
    assert row.basis_usd == Decimal("10002.50")
    said = shown(data)
    assert "Not known yet: the fees of 1 fill." in said
    assert "ESM6: contracts, which these rows treat like shares." in said
    assert "has booked no fees" not in said
