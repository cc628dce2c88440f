"""Keys, nonces and addresses of Kraken Futures, and what an account was worth when the day began."""

import json
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adapters.kraken.samples import AT, iso, reader
from tests.adapters.wire.scripted import Scripted, Wire
from tradebot.adapters.kraken.nonce import FILE, Nonces
from tradebot.adapters.kraken.opening import Opening, Since, worth_at_midnight
from tradebot.adapters.kraken.rows import activities, fill, listing, quote
from tradebot.adapters.kraken.venue import sandbox_secret, venue_of
from tradebot.adapters.text.activity_words import meaning_of
from tradebot.adapters.wire.rows import DriftTally, RowError
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.activity import ActivityKind
from tradebot.model.trading import Mode

SECRET = sandbox_secret("secret")


def test_nonces_rise_whoever_takes_them_and_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Nonces(tmp_path).take()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    taken = [first, *(Nonces(tmp_path).take() for _ in range(3))]
    both: list[int] = []
    threads = [Thread(target=lambda: both.extend(Nonces(tmp_path).take() for _ in range(50))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == [first + number for number in range(4)]
    assert sorted(both) == [first + 4 + number for number in range(100)]
    # A damaged file is no reason to stop: the clock is nearly always ahead of what it had.
    monkeypatch.undo()
    for damaged in ("nonsense", "", '{"x": 99999999999999999999999999999999999}', "9" * 21, "9" * 40):
        (tmp_path / FILE).write_text(damaged)
        taken = [Nonces(tmp_path).take() for _ in range(3)]
        assert max(both) < taken[0] < taken[1] < taken[2] < time.time_ns() // 1_000 + 10_000_000, damaged
        assert Nonces(tmp_path).last() == taken[2]


@pytest.mark.parametrize(
    ("mode", "url", "secret"),
    [
        (Mode.LIVE, "https://demo-futures.kraken.com", SECRET),
        (Mode.PAPER, "https://futures.kraken.com", SECRET),
        (Mode.PAPER, "https://example.com", SECRET),
        (Mode.PAPER, None, "no base64!"),
        (Mode.SANDBOX, "https://futures.kraken.com", SECRET),
    ],
)
def test_keys_and_addresses_that_do_not_fit_the_mode_are_refused(mode: Mode, url: str | None, secret: str) -> None:
    with pytest.raises(OperatorError) as refused:
        venue_of(mode, url, "key", secret, None, lambda: None, lambda answer: None)
    assert secret not in str(refused.value)


@pytest.mark.parametrize("word", ["nonceBelowThreshold", "apiLimitExceeded"])
def test_a_read_that_is_refused_for_now_is_tried_again_with_another_nonce(wire: Wire, word: str) -> None:
    wire.answer(Scripted(200, {"result": "error", "error": word, "serverTime": "2026-11-20T15:30:00Z"}))
    with pytest.raises(TemporaryError, match=word):
        reader(wire).clock()
    nonces = [int(asked.headers["Nonce"]) for asked in wire.asked]
    assert (len(nonces), nonces) == (3, sorted(set(nonces)))


def test_an_error_inside_of_success_is_an_error(wire: Wire) -> None:
    wire.answer(Scripted(200, {"result": "error", "error": "authenticationError"}))
    with pytest.raises(OperatorError, match="authenticationError"):
        reader(wire).account()


GOOD = {
    "symbol": "PF_XBTUSD",
    "tradeable": True,
    "tickSize": Decimal("0.5"),
    "contractSize": 1,
    "contractValueTradePrecision": 4,
    "marginLevels": [
        {"numNonContractUnits": 0, "initialMargin": Decimal("0.02"), "maintenanceMargin": Decimal("0.01")}
    ],
}


@pytest.mark.parametrize(
    "change",
    [
        {"tickSize": None},
        {"tickSize": 0},
        {"marginLevels": []},
        {
            "marginLevels": [
                {"numNonContractUnits": 0, "initialMargin": Decimal("-0.02"), "maintenanceMargin": Decimal("0.01")}
            ]
        },
        {
            "marginLevels": [
                {"numNonContractUnits": 0, "initialMargin": Decimal("0.01"), "maintenanceMargin": Decimal("0.02")}
            ]
        },
        {"contractSize": "NaN"},
    ],
)
def test_an_instrument_with_odd_terms_is_not_listed(change: dict[str, object]) -> None:
    assert listing(GOOD, AT, DriftTally()).instrument.lot == Decimal("0.0001")
    with pytest.raises(RowError):
        listing(GOOD | change, AT, DriftTally())


def test_an_instrument_that_is_not_traded_now_is_not_listed_and_that_is_no_odd_answer(wire: Wire) -> None:
    others = [{"symbol": "PF_ETHUSD", "tradeable": False}, {"symbol": "PF_SOLUSD"}]
    good = json.loads(json.dumps(GOOD, default=float))
    wire.answer(Scripted(200, {"result": "success", "instruments": [good, *others], "serverTime": iso(AT)}))
    tally = DriftTally()
    assert set(reader(wire, tally).listings(["PF_XBTUSD", "PF_ETHUSD"])) == {"PF_XBTUSD"}
    assert not tally.counts, "a contract that has ended was told as an answer of an unknown form"


@pytest.mark.parametrize(
    ("word", "by_venue"),
    [
        *(("maker", ""), ("taker", ""), ("takerAfterEdit", ""), ("liquidation", "liquidation"), ("a new word", "")),
        *((word, "settlement") for word in ("assignee", "assignor", "unwindBankrupt", "unwindCounterparty")),
    ],
)
def test_fills_that_the_venue_makes_itself_are_told_by_their_type(word: str, by_venue: str) -> None:
    assert fill(traded(1, "sell", "2", "90") | {"fillType": word}, DriftTally()).by_venue == by_venue


@pytest.mark.parametrize("change", [{"suspended": True}, {"bid": 0}, {"bid": "NaN"}, {"bid": 12}, {"last": None}])
def test_a_ticker_that_is_no_quote_is_refused(change: dict[str, object]) -> None:
    ticker = {"symbol": "PF_XBTUSD", "bid": 10, "ask": 11, "last": 10, "suspended": False}
    assert quote(ticker, AT, DriftTally()).middle == Decimal("10.5")
    with pytest.raises(RowError):
        quote(ticker | change, AT, DriftTally())


def test_a_trade_in_the_account_log_moves_cash_once() -> None:
    # Captured by others: sold 100 at 0.070914.
    trade = {
        "id": 7,
        "date": "2026-11-20T15:30:00.000Z",
        "info": "futures trade",
        "contract": "pf_xyzusd",
        "execution": "e-1",
        "fee": Decimal("0.0035"),
        "realized_pnl": Decimal("-0.0042"),
        "realized_funding": Decimal("0.001"),
        "old_balance": Decimal("0.0077"),
        "new_balance": Decimal(0),
    }
    cash = activities({**trade, "asset": "usd"}, DriftTally())
    assert [meaning_of(one.kind, one.sub_kind) for one in cash] == [one.meaning for one in cash], "in the books"
    assert [(one.id, one.meaning, one.net_amount, one.fill_id) for one in cash] == [
        ("fee:e-1", ActivityKind.COMMISSION, Decimal("-0.0035"), "e-1"),
        ("7:funding", ActivityKind.FUNDING, Decimal("0.001"), ""),
    ]
    assert activities({**trade, "asset": "pf_xyzusd"}, DriftTally()) == ()


def traded(number: int, side: str, size: str, price: str) -> dict[str, object]:
    row: dict[str, object] = {
        "fill_id": f"f{number}",
        "order_id": "o",
        "symbol": "PF_XBTUSD",
        "side": side,
        "fillType": "taker",
    }
    return row | {"size": size, "price": price, "fillTime": "2026-11-20T15:30:00.000Z"}


@given(
    st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 5), st.integers(50, 150)), max_size=6),
    st.integers(-5, 5),
    st.integers(50, 150),
    st.integers(50, 150),
)
def test_the_day_began_with_what_is_there_now_less_what_the_day_earned(
    trades: list[tuple[str, int, int]], held: int, then: int, now: int
) -> None:
    cash, began = Decimal(1_000), Decimal(1_000) + held * then
    rows = [traded(number, side, str(size), str(price)) for number, (side, size, price) in enumerate(trades)]
    fills = [fill(row, DriftTally()) for row in rows]
    for one in fills:
        cash -= one.notional
        held += int(one.signed_quantity)
    symbols = {"PF_XBTUSD": Decimal(held)} if held else {}
    since = Since(cash + held * now, symbols, {"PF_XBTUSD": Decimal(now)}, fills, (), lambda symbol: Decimal(then))
    assert worth_at_midnight(since) == began


def test_what_the_day_began_with_is_worked_out_once(tmp_path: Path) -> None:
    asked = []

    def work_out() -> Decimal:
        asked.append(1)
        return Decimal("12.5")

    day = date(2026, 11, 20)
    found = [Opening(tmp_path).of("a", day, work_out), Opening(tmp_path).of("a", day, work_out)]
    assert (found, len(asked)) == ([Decimal("12.5")] * 2, 1)
    Opening(tmp_path).of("another", day, work_out)
    (tmp_path / "venue.day").write_text("{")
    Opening(tmp_path).of("another", day, work_out)
    assert len(asked) == 3


@pytest.mark.parametrize(("newest", "mark"), [(0, "11"), (-60, "12"), (-540, "12")])
def test_the_mark_at_midnight_is_that_of_the_bar_before_until_there_is_another(
    wire: Wire, newest: int, mark: str
) -> None:
    night = datetime(2026, 11, 20, tzinfo=UTC)
    times = [(night + timedelta(seconds=seconds)).timestamp() * 1000 for seconds in (-600, newest)]
    candles = [{"time": int(at), "open": "11", "high": "13", "low": "10", "close": "12"} for at in times]
    wire.answer(Scripted(200, {"candles": candles, "more_candles": False}))
    assert reader(wire)._mark_at(night, "PF_XBTUSD") == Decimal(mark)


def test_no_bar_before_midnight_is_no_mark(wire: Wire) -> None:
    wire.answer(Scripted(200, {"candles": [], "more_candles": False}))
    with pytest.raises(TemporaryError, match="mark"):
        reader(wire)._mark_at(datetime(2026, 11, 20, tzinfo=UTC), "PF_XBTUSD")
