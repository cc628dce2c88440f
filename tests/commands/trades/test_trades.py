"""`tradebot trades`: what was traded, read from the bot's own books."""

import csv
import io
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.support.traded import order_of
from tests.kit.bot.folder import Bot, Said
from tests.kit.values import fill, instrument, new_intent, there
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Component, Purpose, Side
from tradebot.model.intent import IntentKey
from tradebot.model.order import Fee, Fill, OrderStatus, Reply, WriteOutcome
from tradebot.model.position import Marks, OwnedFill
from tradebot.model.struct_tools import replace

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


def said_at(bot: Bot, width: int, *words: str, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setenv("COLUMNS", str(width))
    return bot.says("trades", *words)


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
R is known for 1 of 1 closed trade: 1 by the stop asked for at entry
Slippage against the midpoint at decision: -1.40 USD, -2.4 bps, of 5 of 5 fills (a cost is positive)
The broker has booked no fees for these trades so far.
R is the net profit of a closed trade divided by its initial risk: the distance from the entry to the first stop \
that rested at the broker, or else to the stop that the entry requested, times all shares entered.
Best and worst are the prices that passes saw while the trade was open, and those of its exits; the market may have \
gone further in between.
"""


def test_trades_screen_shows_each_trade_and_the_totals(traded: Bot) -> None:
    assert traded.says("trades", "note", "AAPL", "the open", "--tag", "swing").code == 0
    said = traded.says("trades", "--explain")
    assert (said.code, said.out) == (0, EXPECTED)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_trades_screen_fits_the_terminal(reader: Bot, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in ((), ("--lots",)):
        said = said_at(reader, width, *words, monkeypatch=monkeypatch)
        assert max(map(len, said.out.splitlines())) <= width
        assert all(text in said.out for text in ("AAPL", "103.00", "+30.00", "4/10" if not words else "195.00"))


def test_trades_of_empty_books_say_what_to_do_next(copy: Bot) -> None:
    said = copy.says("trades")
    assert (said.code, said.out.splitlines()[1]) == (
        0,
        "Nothing was bought yet. Next: tradebot trade-once, then tradebot why-no-orders",
    )
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
        ("--tag x", "--tag, --untag and --remove belong to a note", "tradebot trades note AAPL --tag swing"),
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
