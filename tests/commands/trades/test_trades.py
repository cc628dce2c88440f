"""`tradebot trades`: what was traded, read from the bot's own books."""

import csv
import io
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.support.traded import order_of
from commands.shared.tables import Screen
from commands.shared.times import show_utc
from commands.trades.report import _known_r
from commands.trades.swaps import EARNED, VALUES, Swaps, _is_chosen, show, swap_assumptions
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.values import NOW, ago, fill, instrument, new_intent, there
from tests.views.trades.test_trade_row import gave_way
from tests.views.trades.test_trades import MARKET, past
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Component, Purpose, Side
from tradebot.model.intent import IntentKey
from tradebot.model.order import Fee, Fill, OrderStatus, Reply, WriteOutcome
from tradebot.model.position import Marks, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.views.trades.swaps import SwapRow
from tradebot.views.trades.trade_row import Choice, RiskFrom, TradeStatus
from tradebot.views.trades.trades import rows_of

D = Decimal
FLOW = Component("flow", 0.5, 0.4, "sweeps")


def trade(ledger: SqliteLedger, number: int, symbol: str, side: Side, quantity: int, price: str, why: str = "") -> None:
    """Let the bot fill an order so many minutes after the books were opened; an order without a reason is an entry."""
    opened_at = there(ledger.books_opened_at())
    at, purpose = opened_at + timedelta(minutes=number), Purpose.CLOSE if why else Purpose.OPEN
    key = IntentKey(ledger.account_number, "flow", at.date(), f"slot-{number}", symbol, side, purpose)
    usual = {"quantity": D(quantity), "limit_price": D(price), "at": at, "decision_mid": D(price) - D("0.1")}
    entry = {} if why else {"stop_loss_fraction": D("0.02"), "score": 0.42, "components": (FLOW,)}
    intent = new_intent(key, instrument(symbol), why=why, **usual, **entry)
    ledger.record_intent(intent, ())
    order = order_of(intent, f"v{number}", OrderStatus.FILLED, intent.limit_price)
    reply = Reply(WriteOutcome.ACCEPTED, replace(order, arrival_mid=intent.decision_mid))
    ledger.record_outcome(intent.client_order_id, reply, at)
    done = Fill(f"fill-{number}", f"v{number}", symbol, side, D(quantity), D(price), at)
    ledger.apply_fills([OwnedFill("flow", done)], at)
    if purpose is Purpose.OPEN:
        best, worst = (1 + side.sign * D(gain) for gain in ("0.04", "-0.01"))
        ledger.put_marks({("flow", symbol, at): Marks(D(price) * best, D(price) * worst)})


def booked(folder: Path) -> None:
    with closing(SqliteLedger.open(folder)) as ledger:
        trade(ledger, 60, "AAPL", Side.BUY, 10, "100")
        trade(ledger, 70, "MSFT", Side.SELL, 20, "50")
        trade(ledger, 90, "AAPL", Side.SELL, 10, "103", "trail_stop(-1.2%)+signal_decay(0.65)")
        trade(ledger, 95, "NVDA", Side.BUY, 10, "200")
        trade(ledger, 150, "NVDA", Side.SELL, 4, "195", "scale_out")


EXPECTED = """\
3 of 3 trades at 2026-11-16 11:30:00 ET; the broker was not queried
1 closed: 1 won, 0 lost; 2 open (1 closed in part)
Closed: gross +10.00 USD, fees +0.00, net +10.00
The profit of 2 of 2 open trades isn't known: no pass saw a price
opened ET    symbol   held  shares   entry    exit  net USD  open      R   best  worst  score  closed by \
                            id       note
11-16 10:00  AAPL      30m      10  100.00  103.00   +30.00        +1.50  +4.0%  -1.0%  +0.42 \
 trail_stop(-1.2%)+signal_decay(0.65)  xdbzjkf  #swing the open
11-16 10:10  MSFT    1h20m     -20   50.00    open              -         +4.0%  -1.0%  +0.42 \
                                       f4zqilq
11-16 10:35  NVDA      55m    4/10  200.00  195.00   -20.00     -         +4.0%  -2.5%  +0.42 \
 scale_out                             4zl6hbd
R is known for 1 closed trade, from the stop that the entry asked for
Slippage against the midpoint at decision: -1.40 USD, -2.4 bps (costs are positive), over 5 of 5 fills, \
without those of stops and targets at the broker
The broker has booked no fees for these trades so far.
R is a closed trade's net profit divided by its initial risk. The risk is the distance from the entry to the first \
stop that rested at the broker, times all shares entered; without such a stop, it is the distance to the stop that the \
entry requested.
Best and worst are among the prices that passes saw while the trade was open, and its exit prices. The market may \
have gone further in between.
"""


def test_trades_screen_shows_each_trade_and_the_totals(traded: Bot) -> None:
    assert traded.says("trades", "note", "AAPL", "the open", "--tag", "swing").code == 0
    said = traded.says("trades", "--explain")
    assert (said.code, said.out) == (0, EXPECTED)


@pytest.mark.parametrize(
    ("risks", "sentence"),
    [
        ((), []),
        ((None,), ["R isn't known for 1 closed trade: no stop is on record"]),
        (2 * (RiskFrom.RESTING,), ["R is known for 2 closed trades, from the first stop at the broker"]),
        (
            (RiskFrom.ENTRY, RiskFrom.RESTING, None),
            [
                "R is known for 2 of 3 closed trades: 1 from the first stop at the broker, "
                "1 from the stop that the entry asked for"
            ],
        ),
    ],
)
def test_where_r_comes_from_is_said_in_words(risks: tuple[RiskFrom | None, ...], sentence: list[str]) -> None:
    rows = [SimpleNamespace(status=TradeStatus.CLOSED, r=risk and 1, risk_from=risk) for risk in risks]
    assert _known_r(cast(Any, SimpleNamespace(trades=rows))) == sentence


def test_trades_of_empty_books_say_what_to_do_next(copy: Bot) -> None:
    said = copy.says("trades")
    assert said.code == 0
    assert said.out.splitlines()[1] == "Nothing was bought yet. Next: tradebot trade-once, then tradebot why-no-orders"
    assert copy.json("trades")["trades"] == []
    assert len(copy.says("trades", "--csv", "-").out.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "symbols"),
    [
        ("", "AAPL MSFT NVDA"),
        ("--open", "MSFT NVDA"),
        ("--closed", "AAPL"),
        ("--symbol nvda", "NVDA"),
        ("--reason signal_decay", "AAPL"),
        ("--reason scale_out --open", "NVDA"),
        ("--strategy other", ""),
        ("--from 2026-11-16 --to 2026-11-16", "AAPL MSFT NVDA"),
        ("--from 2026-11-17", "MSFT NVDA"),
        ("--to 2026-11-15", ""),
    ],
)
def test_trades_options_choose_rows(reader: Bot, words: str, symbols: str) -> None:
    found = reader.json("trades", *words.split())
    assert [row["symbol"] for row in found["trades"]] == symbols.split()
    assert (found["known"], found["totals"]["trades"]) == (3, len(symbols.split()))


def test_trades_choice_without_rows_names_the_next_step(reader: Bot) -> None:
    said = reader.says("trades", "--strategy", "other", "--from", "2026-11-16")
    assert said.out.splitlines() == [
        "0 of 3 trades from 2026-11-16 at 2026-11-16 11:30:00 ET; the broker was not queried",
        "No trades match --strategy other: there are flow. All of them: tradebot trades",
    ]


def test_trades_csv_has_every_column_with_exact_numbers(reader: Bot) -> None:
    aapl, msft, nvda = csv.DictReader(io.StringIO(reader.says("trades", "--csv", "-").out))
    assert (aapl["opened_at"], aapl["held_s"]) == ("2026-11-16T15:00:00Z", "1800.0")
    assert (aapl["gross_usd"], aapl["net_usd"], aapl["r"]) == ("30", "30", "1.50")
    assert (aapl["risk_usd"], aapl["risk_from"]) == ("20", "stop asked for at entry")
    assert (aapl["reasons"], aapl["components"]) == ("trail_stop(-1.2%)+signal_decay(0.65)", "flow=0.5*0.4")
    assert (aapl["best_price"], aapl["best_r"], aapl["slippage_decision_usd"]) == ("104", "2.00", "0.0")
    assert (msft["side"], msft["closed_at"], msft["exit_price"], msft["r"]) == ("short", "", "", "")
    assert (nvda["status"], nvda["closed_quantity"], nvda["slippage_send_usd"]) == ("partly closed", "4", "")


def test_lots_csv_has_a_row_for_each_piece(reader: Bot, tmp_path: Path) -> None:
    file = tmp_path / "lots.csv"
    said = reader.says("trades", "--lots", "--csv", str(file))
    assert (said.code, said.out) == (0, f"4 lots written to {file}\n")
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [(row["symbol"], row["reason"], row["gross_usd"]) for row in rows] == [
        ("AAPL", "trail_stop(-1.2%)+signal_decay(0.65)", "30"),
        ("NVDA", "scale_out", "-20"),
        ("MSFT", "", ""),
        ("NVDA", "", ""),
    ]
    assert [lot["trade_id"] for lot in reader.json("trades", "--lots")["lots"]] == [row["trade_id"] for row in rows]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("--csv /nowhere/x.csv", "/nowhere/x.csv can't be written", "name another file"),
        ("--json --csv -", "--json and --csv - can't both go to stdout", "trades --json --csv trades.csv"),
        ("--tag x", "--tag, --untag and --remove are options of trades note", "tradebot trades note AAPL --tag swing"),
        ("AAPL", "trades has no verb AAPL", "tradebot trades --symbol AAPL"),
        ("--from 2026-11-17 --to 2026-11-16", "--from 2026-11-17 is after --to 2026-11-16", "write --from"),
    ],
)
def test_trades_refuses_bad_options_with_the_next_step(reader: Bot, words: str, message: str, hint: str) -> None:
    said = reader.says("trades", *words.split())
    assert said.code != 0
    whole = said.err + said.out
    assert message in whole
    assert hint in whole


def test_trades_say_which_fees_are_not_known_yet(copy: Bot) -> None:
    with closing(SqliteLedger.open(copy.folder)) as ledger:
        at = there(ledger.books_opened_at())
        sides = (Side.BUY, Side.SELL)
        fills = [fill(n, side=side, at=at + timedelta(minutes=n), fee=Fee(None)) for n, side in enumerate(sides)]
        ledger.apply_fills(fills, at + timedelta(minutes=5))
    found = copy.json("trades", "--lots")
    assert (found["trades"][0]["unknown_fees"], found["totals"]["unknown_fees"]) == (2, 2)
    assert [(lot["fees_usd"], lot["net_usd"]) for lot in found["lots"]] == [(None, None)]
    said = copy.says("trades").out
    assert "fees not known yet, net +0.00" in said
    assert "Not known yet: the fees of 2 fills. Profit doesn't include them." in said
    assert "has booked no fees" not in said
    assert "not known yet" in copy.says("trades", "--lots").out
    assert copy.says("trades", "--csv", "-").out.splitlines()[0].endswith("tags,note,unknown_fees")


__all__ = ["booked"]


def test_note_and_tags_are_shown_with_the_trade(traded: Bot) -> None:
    said = traded.says("trades", "note", "nvda", " half was enough ", "--tag", "Swing", "--tag", "#news")
    assert (said.code, said.out.splitlines()) == (
        0,
        [
            "Noted on trade 4zl6hbd: long NVDA of flow, opened 2026-11-16 10:35 ET, partly closed",
            "Tags: swing, news",
            "Note: half was enough",
        ],
    )
    found = traded.json("trades", "note", "4zl6hbd", "--untag", "news", "--tag", "late")
    assert (found["tags"], found["note"], found["symbol"]) == (["swing", "late"], "half was enough", "NVDA")
    (row,) = traded.json("trades", "--symbol", "NVDA")["trades"]
    assert (row["tags"], row["note"]) == (["swing", "late"], "half was enough")
    assert traded.says("trades", "note", "NVDA", "").code == 2
    assert traded.says("journal", "verify").code == 0


def test_note_is_removed_while_its_tags_stay(traded: Bot) -> None:
    traded.json("trades", "note", "NVDA", "half was enough", "--tag", "swing")
    said = traded.says("trades", "note", "NVDA", "--remove")
    which = "trade 4zl6hbd: long NVDA of flow, opened 2026-11-16 10:35 ET, partly closed"
    assert (said.code, said.out.splitlines()) == (0, [f"Note removed from {which}", "Tags: swing"])
    (row,) = traded.json("trades", "--symbol", "NVDA")["trades"]
    assert (row["tags"], row["note"]) == (["swing"], "")
    assert traded.says("trades", "note", "NVDA", "--remove").code == 2
    assert traded.json("trades", "note", "NVDA", "after all")["note"] == "after all"
    assert traded.says("journal", "verify").code == 0


def test_symbol_names_its_open_trade_or_else_the_last_one(traded: Bot) -> None:
    with closing(SqliteLedger.open(traded.folder)) as ledger:
        trade(ledger, 160, "AAPL", Side.BUY, 5, "101")
    second = traded.json("trades", "note", "AAPL", "again")["id"]
    assert second != "xdbzjkf"
    with closing(SqliteLedger.open(traded.folder)) as ledger:
        trade(ledger, 170, "AAPL", Side.SELL, 5, "102", "time_exit(1h)")
    assert traded.json("trades", "note", "AAPL", "over")["id"] == second
    assert traded.json("trades", "note", "XDBZJKF", "the first")["note"] == "the first"


def test_two_open_trades_in_one_symbol_need_an_id(traded: Bot) -> None:
    with closing(SqliteLedger.open(traded.folder)) as ledger:
        opened_at = ledger.books_opened_at()
        assert opened_at is not None
        other = ledger.fills()[0].fill
        at = opened_at + timedelta(minutes=170)
        fill = Fill("other", "", "MSFT", Side.SELL, other.quantity, other.price, at)
        ledger.apply_fills([OwnedFill("own", fill)], at)
    refuses(
        traded.says("trades", "note", "MSFT", "which?"),
        2,
        "2 trades in MSFT are open: f4zqilq of flow, opened 2026-11-16 10:10 ET; ",
        'tradebot trades note f4zqilq "TEXT"',
    )


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["note"], "trades note needs a trade", 'tradebot trades note AAPL "bought the open" --tag swing'),
        (["note", "AAPL"], "there is nothing to note", "--tag swing"),
        (["note", "AAPL", "two", "words"], "write it in quotes", "--tag swing"),
        (["note", "ZZZ", "text"], "no trade has the symbol or the id ZZZ", "tradebot trades lists them"),
        (["note", "AAPL", "--tag", "a b"], "a b can't be a tag", "--tag swing"),
        (["note", "AAPL", "x" * 1001], "the note has 1,001 characters; at most 1,000 are allowed", "write less"),
        (["note", "AAPL", "\x01 \x02"], "there is nothing to note", "--tag swing"),
        (
            ["note", "AAPL", *(word for number in range(21) for word in ("--tag", f"t{number}"))],
            "the trade would have 21 tags; at most 20 are allowed",
            "--untag removes one",
        ),
        (["note", "AAPL", "x", "--remove"], "--remove deletes a note, so it takes no text", "note AAPL --remove"),
        (["note", "AAPL", "--remove"], "trade xdbzjkf has no note to remove", "--untag removes a tag"),
        (["note", "AAPL", "x", "--open"], "it takes no filters", 'tradebot trades note AAPL "TEXT"'),
    ],
)
def test_note_that_cannot_be_written_says_why(reader: Bot, words: list[str], message: str, hint: str) -> None:
    refuses(reader.says("trades", *words), 2, message, hint)


def test_note_is_shown_as_it_was_typed(traded: Bot) -> None:
    # A command that is ready to type has no period after it, and a time has the reader's zone.
    words = "[red]not[/red] <b> tradebot status. At 2026-11-16 15:00 UTC"
    assert traded.says("trades", "note", "NVDA", words).out.splitlines()[-1] == f"Note: {words}"
    assert set(words.split()) <= set(traded.says("trades", "--symbol", "NVDA").out.split())
    (row,) = traded.json("trades", "--symbol", "NVDA")["trades"]
    assert row["note"] == words


ROW = SwapRow(
    at=NOW, strategy="smart_money", symbol="PF_XRPUSD", newcomer="PF_TRXUSD", score=D("0.5"), gained=D("0.1"),
    cost=D("0.02"), r=D(2), value=D("0.58"), value_of_newcomer=D("0.88"), needed=D("0.68"), advantage=D("0.3"),
    threshold=D("0.1"), trade_id="lj3ue55", closed_usd=D("312.8"), newcomer_id=None, newcomer_usd=None,
    last=D("2.1"), left_usd=D("-70"), quantity=D(10), closes=1, held=D(0), works=False,
)  # fmt: skip


def shown(width: int, *rows: SwapRow) -> list[str]:
    show_utc(True)
    screen = Screen(width=width, highlight=False)
    with screen.capture() as text:
        show(screen, Swaps(NOW, None, None, rows, (VALUES, EARNED) if rows else ()))
    show_utc(False)
    return [line.rstrip() for line in text.get().splitlines()]


def test_swap_has_one_line_where_there_is_room() -> None:
    head, row = shown(150, ROW)[1:3]
    assert head.split("  ")[0] == "decided UTC"
    assert row.split() == [
        *("11-16", "15:00", "PF_XRPUSD", "PF_TRXUSD", "0.58", "2.00", "0.02", "0.10", "0.88"),
        *("+312.80", "-70.00", "lj3ue55", "not", "opened"),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"held": D(4)},
            "4 of 10 are still open after 1 closing order. The broker ended the last one early; the rest is",
        ),
        (
            {"held": D(4), "closes": 2, "works": True},
            "4 of 10 are still open after 2 closing orders, one of which is still working",
        ),
        ({"closes": 2}, "it took 2 closing orders to close 10"),
        ({"closes": 2, "held": None}, "2 closing orders"),
        ({}, None),
    ],
)
def test_swap_whose_close_ended_early_says_what_is_still_held(changes: Any, said: str | None) -> None:
    lines = [
        line for line in shown(200, replace(ROW, **changes)) if line.startswith("PF_XRPUSD for PF_TRXUSD at 11-16")
    ]
    assert ([said in line for line in lines if said], len(lines)) == ([True] * bool(said), bool(said))


def test_no_swap_is_said() -> None:
    assert shown(80) == ["0 swaps", "No position was closed to make room for another."]


def test_fees_that_are_not_known_yet_are_said_beside_the_words_after_fees() -> None:
    (held,) = rows_of(past([fill(0, at=ago(600))]), MARKET).trades
    untold = replace(held, unknown_fees=2)
    swap = replace(ROW, trade_id=untold.id)
    said = "Not known yet: the fees of 2 fills. Profit doesn't include them."
    assert list(swap_assumptions([swap], [untold, replace(untold, id="other")])) == [VALUES, EARNED, said]
    assert list(swap_assumptions([swap], [replace(untold, unknown_fees=0)])) == [VALUES, EARNED]
    assert list(swap_assumptions([], [untold])) == []


def test_a_symbol_chooses_swaps_on_either_side() -> None:
    one = gave_way()
    closed, newcomer, strategy = one.intent.key.symbol, one.intent.displaced_by, one.intent.key.strategy
    for symbol, chosen in ((closed, True), (newcomer, True), ("IWM", False)):
        assert _is_chosen(one, Choice(strategy=strategy, symbol=symbol)) is chosen
    assert not _is_chosen(one, Choice(strategy="another", symbol=newcomer))
