"""Requests wait for one another only as long as the venue would refuse them, by the embedded exchange's own count.

Keys, nonces and addresses of Kraken Futures, and what an account was worth when the day began.
"""

import json
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papervenue.faces.kraken import face
from papervenue.times import SECOND
from tests.kit.adapters.kraken import AT, iso, ms, reader, venue_at
from tests.kit.fakes.scripted import Asked, Scripted, Wire
from tradebot.adapters.text.activity_types import meaning_of
from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.account import ActivityKind
from tradebot.model.bar import SUSPENDED
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.venues.kraken.client import (
    COSTS,
    MOST,
    NONCE_FILE,
    SPAN_S,
    Client,
    Nonces,
    OpeningEquity,
    RequestBudget,
    SinceMidnight,
    equity_at_midnight,
    sandbox_secret,
    venue_of,
)
from tradebot.venues.kraken.rows import activities, fill, listing, quote

PATHS = st.sampled_from([f"/derivatives/api/v3/{name}" for name in (*COSTS, "tickers")])
ASKED = st.lists(st.tuples(PATHS, st.sampled_from([0.0, 0.0, 0.1, 4.0, 11.0])), max_size=250)


class Time:
    """A clock that goes on only when somebody waits."""

    def __init__(self) -> None:
        self.now, self.waited = 1_000.0, list[float]()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.waited.append(seconds)
        self.now += seconds


def cost_of(path: str) -> int:
    name = path.rpartition("/")[2]
    return face.FILLS_SINCE if name == "fills" else face.COSTS.get(name, 0)


@given(ASKED)
def test_no_request_comes_when_the_venue_would_refuse_it(asked: list[tuple[str, float]]) -> None:
    time = Time()
    venue = face.Limits(lambda: round(time.now * SECOND), lambda: True)
    pace = RequestBudget(lambda: time.now, time.sleep)
    for path, passes_s in asked:
        pace.wait(path)
        assert venue.spend("key", face.TRADING, cost_of(path)) == 0
        time.now += passes_s
    assert all(0 < waited <= SPAN_S for waited in time.waited)
    assert venue.peaks["trading"] <= MOST


def test_orders_wait_only_once_their_budget_is_spent() -> None:
    time = Time()
    pace = RequestBudget(lambda: time.now, time.sleep)
    for _ in range(MOST // 10):
        pace.wait("/derivatives/api/v3/sendorder")
    assert time.waited == []
    pace.wait("/derivatives/api/v3/cancelorder")
    assert time.waited == [SPAN_S]


def test_each_cost_is_the_exchanges() -> None:
    assert {name: cost_of(name) for name in COSTS} == dict(COSTS)


@pytest.mark.parametrize("mode", Mode)
def test_only_the_embedded_exchange_is_asked_without_waiting(mode: Mode) -> None:
    url = "http://127.0.0.1:1" if mode is Mode.SANDBOX else None
    venue = venue_of(mode, url, "key", sandbox_secret("key"), None, lambda: None, lambda answer: None)
    assert (venue.pace is None) == (mode is Mode.SANDBOX)


def test_each_request_waits_first(wire: Wire) -> None:
    waits = list[str]()

    class Counted(RequestBudget):
        def wait(self, path: str) -> None:
            waits.append(path)

    wire.answer(Scripted(200, {"result": "success"}))
    Client(replace(venue_at(wire), pace=Counted())).read("/derivatives/api/v3/accounts")
    assert waits == ["/derivatives/api/v3/accounts"]


SECRET = sandbox_secret("secret")


def test_nonces_rise_whoever_takes_them_by_whatever_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    for damaged in ("nonsense", "", "9" * 20, f"0000{'9' * 16}", '{"x": 99999999999999999999}', "9" * 40):
        (tmp_path / NONCE_FILE).write_text(damaged)
        taken = [Nonces(tmp_path).take() for _ in range(3)]
        assert max(both) < taken[0] < taken[1] < taken[2] < time.time_ns() // 1_000 + 10_000_000, damaged
        assert Nonces(tmp_path).last() == taken[2]


def test_a_nonce_written_in_part_when_the_power_went_is_none_and_never_ahead_of_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = []
    for at_us in (1_795_750_799_900_000, 1_795_750_800_100_000):
        monkeypatch.setattr(time, "time_ns", lambda at_us=at_us: at_us * 1_000)
        Nonces(tmp_path).take()
        lines.append((tmp_path / NONCE_FILE).read_bytes())
    earlier, later = lines
    read = set()
    for written in range(len(later) + 1):
        (tmp_path / NONCE_FILE).write_bytes(later[:written] + earlier[written:])
        read.add(Nonces(tmp_path).last())
    assert read == {0, 1_795_750_799_900_000, 1_795_750_800_100_000}


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


def test_while_time_stands_still_a_read_is_answered_once_until_something_is_sent(wire: Wire) -> None:
    known: dict[tuple[object, ...], Any] = {}
    client = Client(replace(venue_at(wire), known=known))
    wire.answer(*(Scripted(200, {"result": "success", "number": number}) for number in range(6)))
    told = [client.read("/first"), client.read("/first"), client.read("/first", since="1")]
    client.ask("POST", "/order", {})
    told.append(client.read("/first"))
    known.clear()
    told.append(client.read("/first"))
    assert [one["number"] for one in told] == [0, 0, 1, 3, 4]
    assert [client.read("/first")["number"], len(wire.asked)] == [4, 5]


def test_an_error_inside_of_success_is_an_error(wire: Wire) -> None:
    wire.answer(Scripted(200, {"result": "error", "error": "authenticationError"}))
    with pytest.raises(OperatorError, match="authenticationError"):
        reader(wire).account()


def margin_levels(initial: str, maintenance: str) -> dict[str, Any]:
    """Return the margin levels of an instrument that has one."""
    parts = {"initialMargin": Decimal(initial), "maintenanceMargin": Decimal(maintenance)}
    return {"marginLevels": [{"numNonContractUnits": 0, **parts}]}


GOOD = {
    "symbol": "PF_XBTUSD",
    "tradeable": True,
    "tickSize": Decimal("0.5"),
    "contractSize": 1,
    "contractValueTradePrecision": 4,
    **margin_levels("0.02", "0.01"),
}


@pytest.mark.parametrize(
    "change",
    [
        {"tickSize": None},
        {"tickSize": 0},
        {"marginLevels": []},
        margin_levels("-0.02", "0.01"),
        margin_levels("0.01", "0.02"),
        {"contractSize": "NaN"},
        {"lastTradingTime": iso(AT)},
    ],
)
def test_an_instrument_with_odd_terms_or_whose_trading_is_over_is_not_listed(change: dict[str, object]) -> None:
    assert listing(GOOD, AT, DriftTally()).instrument.lot == Decimal("0.0001")
    later = {"lastTradingTime": iso(AT + timedelta(hours=6))}
    assert listing(GOOD | later, AT, DriftTally()).last_trading_day == AT.date()
    with pytest.raises(RowError):
        listing(GOOD | change, AT, DriftTally())


def test_an_instrument_that_is_not_traded_now_is_not_listed_and_that_is_no_odd_answer(wire: Wire) -> None:
    others = [{"symbol": "PF_ETHUSD", "tradeable": False}, {"symbol": "PF_SOLUSD"}]
    good = json.loads(json.dumps(GOOD, default=float))
    lists = {"leveragePreferences": (), "instruments": [good, *others]}
    wire.script = lambda asked: Scripted(200, {"result": "success", **lists, "serverTime": iso(AT)})
    tally = DriftTally()
    assert set(reader(wire, tally).listings(["PF_XBTUSD", "PF_ETHUSD"])) == {"PF_XBTUSD"}
    assert not tally.counts, "a contract that has ended was told as an answer of an unknown form"


@pytest.mark.parametrize(("isolated", "has_levels"), [("PF_XBTUSD", False), ("PF_ETHUSD", True), (None, None)])
def test_a_symbol_with_isolated_margin_has_no_margin_levels(
    wire: Wire, isolated: str | None, has_levels: bool | None
) -> None:
    preference = {"maxLeverage": 5} | ({"symbol": isolated} if isolated else {})
    good = json.loads(json.dumps(GOOD, default=float))
    lists = {"leveragePreferences": [preference], "instruments": [good]}
    wire.script = lambda asked: Scripted(200, {"result": "success", **lists, "serverTime": iso(AT)})
    if has_levels is None:
        with pytest.raises(TemporaryError, match="leverage preferences can't be read"):
            reader(wire, DriftTally()).listings(["PF_XBTUSD"])
        return
    listed = reader(wire, DriftTally()).listings(["PF_XBTUSD"])["PF_XBTUSD"]
    assert bool(listed.margin_levels) == has_levels


def test_the_list_of_contracts_has_what_is_traded_now_as_often_as_told_or_is_no_list(wire: Wire) -> None:
    told = [{"symbol": "PF_ETHUSD"}, {"symbol": "PF_XBTUSD", "tradeable": False}, {"symbol": 7}, "odd", {}]
    wire.answer(Scripted(200, {"result": "success", "instruments": [*told, told[0]], "serverTime": iso(AT)}))
    assert reader(wire, DriftTally()).contracts() == ["PF_ETHUSD", "PF_ETHUSD"]
    wire.answer(Scripted(200, {"result": "success", "serverTime": iso(AT)}))
    with pytest.raises(TemporaryError, match="list of instruments"):
        reader(wire, DriftTally()).contracts()


@pytest.mark.parametrize(
    ("word", "by_venue"),
    [
        *(("maker", ""), ("taker", ""), ("takerAfterEdit", ""), ("liquidation", "liquidation"), ("a new word", "")),
        *((word, "settlement") for word in ("assignee", "unwindCounterparty")),
        *((word, "liquidation") for word in ("assignor", "unwindBankrupt")),
    ],
)
def test_fills_that_the_venue_makes_itself_are_told_by_their_type(word: str, by_venue: str) -> None:
    assert fill(traded(1, "sell", "2", "90") | {"fillType": word}, DriftTally()).by_venue == by_venue


@pytest.mark.parametrize("change", [{"suspended": True}, {"bid": 0}, {"bid": "NaN"}, {"bid": 12}, {"last": None}])
def test_a_ticker_that_is_no_quote_is_refused(change: dict[str, object]) -> None:
    ticker = {"symbol": "PF_XBTUSD", "bid": 10, "ask": 11, "last": 10, "suspended": False}
    assert quote(ticker, AT, DriftTally()).middle == Decimal("10.5")
    with pytest.raises(RowError) as refused:
        quote(ticker | change, AT, DriftTally())
    assert (str(refused.value) == SUSPENDED) is ("suspended" in change)


@pytest.mark.parametrize(
    ("told", "known", "drifts"),
    [
        ({"volumeQuote": 40351.34}, Decimal("40351.34"), 0),
        ({"volumeQuote": 0}, Decimal(0), 0),
        ({"vol24h": 15304}, None, 0),
        ({"volumeQuote": None}, None, 0),
        ({"volumeQuote": -1}, None, 1),
        ({"volumeQuote": "much"}, None, 1),
    ],
)
def test_the_volume_of_a_day_is_what_the_ticker_says_in_usd_or_unknown(
    told: dict[str, object], known: Decimal | None, drifts: int
) -> None:
    tally = DriftTally()
    numbers = {name: Decimal(str(value)) if isinstance(value, float) else value for name, value in told.items()}
    read = quote({"symbol": "PF_XBTUSD", "bid": 10, "ask": 11, "last": 10} | numbers, AT, tally)
    assert (read.day_volume_usd, len(tally.counts)) == (known, drifts)


def test_a_ticker_tells_mark_index_and_funding_and_stays_a_quote_without_them() -> None:
    ticker = {"symbol": "PF_XBTUSD", "bid": 10, "ask": 11, "last": 10, "suspended": False}
    beside = {"markPrice": 12, "indexPrice": "11.5", "fundingRate": Decimal("-0.9"), "fundingRatePrediction": 0}
    told = quote(ticker | beside, AT, DriftTally())
    assert (told.mark, told.index) == (Decimal(12), Decimal("11.5"))
    assert (told.funding_rate, told.funding_next) == (Decimal("-0.9"), Decimal(0))
    assert told.premium == Decimal(12) / Decimal("11.5") - 1
    for name, problem in (("markPrice", 0), ("indexPrice", -1), ("fundingRate", "much"), ("fundingRatePrediction", {})):
        tally = DriftTally()
        odd = quote(ticker | beside | {name: problem}, AT, tally)
        assert [odd.mark, odd.index, odd.funding_rate, odd.funding_next].count(None) == 1
        assert [(drift.kind, drift.field) for drift in tally.counts] == [("ticker", name)]
    tally = DriftTally()
    bare = quote(ticker, AT, tally)
    assert (bare.mark, bare.index, bare.premium, bare.funding_rate, bare.funding_next) == (None,) * 5
    assert not tally.counts


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


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"asset": "xbt", "info": "cross-exchange transfer"}, []),
        ({"asset": "usd", "margin_account": "cash", "info": "cross-exchange transfer"}, []),
        ({"asset": "usd", "margin_account": "flex", "info": "conversion"}, [("TRANSFER", "52")]),
        ({"asset": "usd", "info": "a new word", "realized_funding": 2, "realized_pnl": 50}, [("OTHER", "52")]),
    ],
)
def test_a_row_of_the_log_moves_our_usd_once_or_nothing(
    change: dict[str, object], moved: list[tuple[str, str]]
) -> None:
    row = {"id": 8, "date": "2026-11-20T15:30:00.000Z", "old_balance": 100, "new_balance": 152, "contract": None}
    assert [(one.meaning.name, f"{one.net_amount:f}") for one in activities(row | change, DriftTally())] == moved


def test_a_fee_that_is_told_in_two_ways_is_not_known(wire: Wire) -> None:
    row: dict[str, object] = {"date": iso(AT), "info": "futures trade", "asset": "usd", "contract": "pf_xbtusd"}
    balances: dict[str, object] = {"old_balance": 100, "new_balance": 90, "realized_pnl": 0, "realized_funding": None}
    logs = [row | balances | {"id": number, "execution": name, "fee": fee} for number, name, fee in (
        (3, "e-1", 9.98), (2, "e-1", 29.93), (1, "e-2", 5))]  # fmt: skip
    wire.answer(Scripted(200, {"accountUid": "x", "logs": logs}))
    tally = DriftTally()
    found = reader(wire, tally).activities(AT - timedelta(hours=1))
    assert [(one.id, one.net_amount) for one in found] == [("fee:e-2", Decimal(-5))]
    assert [drift.problem for drift in tally.counts] == ["has two different versions: fee:e-1"]


POSITION = {"side": "long", "symbol": "PF_XBTUSD", "price": 90_000, "fillTime": iso(AT), "size": 0.5}


@pytest.mark.parametrize(
    ("rows", "held", "lost"),
    [
        ([POSITION, POSITION], {"PF_XBTUSD": "0.5"}, 0),
        ([POSITION, POSITION | {"size": 0.7}, POSITION | {"symbol": "PF_ETHUSD"}], {"PF_ETHUSD": "0.5"}, 1),
        ([POSITION | {"side": "short"}, POSITION], {}, 1),
        ([POSITION | {"size": -0.5}], {}, 1),
    ],
)
def test_a_position_told_twice_costs_its_own_symbol_alone(
    wire: Wire, rows: list[dict[str, object]], held: dict[str, str], lost: int
) -> None:
    def answer(asked: Asked) -> Scripted:
        if asked.path.endswith("tickers"):
            return Scripted(200, {"result": "success", "tickers": [], "serverTime": iso(AT)})
        return Scripted(200, {"result": "success", "openPositions": rows, "serverTime": iso(AT)})

    wire.script = answer
    found, unread = reader(wire)._positions()
    assert ({one.symbol: f"{one.quantity:f}" for one in found}, unread) == (held, lost)
    if lost:
        with pytest.raises(TemporaryError, match="nothing is known about PF_XBTUSD"):
            reader(wire).position("PF_XBTUSD")


FLEX: dict[str, object] = {
    "currencies": {"USD": {"quantity": 100}, "XBT": {"quantity": 1, "value": 900}},
    "balanceValue": 1000,
    "portfolioValue": 1030,
    "availableMargin": 700,
    "initialMargin": 50,
    "maintenanceMargin": 25,
}


@pytest.mark.parametrize(
    ("change", "margins"),
    [
        ({}, (Decimal(50), Decimal(25))),
        ({"initialMargin": -1}, (None, Decimal(25))),
        ({"maintenanceMargin": "NaN"}, (Decimal(50), None)),
    ],
)
def test_only_usd_count_and_a_margin_that_can_not_be_is_not_believed(
    wire: Wire, tmp_path: Path, change: dict[str, object], margins: tuple[object, object]
) -> None:
    def answer(asked: Asked) -> Scripted:
        if asked.path.endswith("accounts"):
            return Scripted(200, {"result": "success", "accounts": {"flex": FLEX | change}, "serverTime": iso(AT)})
        lists = dict.fromkeys(("openPositions", "openOrders", "fills", "logs", "elements"), ())
        return Scripted(200, {"result": "success", "accountUid": "x", "serverTime": iso(AT), **lists})

    wire.script = answer
    view = reader(wire).view()
    account = view.account
    assert [account.cash, account.equity, view.unreadable] == [100, 130, margins.count(None)]
    assert (view.account.initial_margin, view.account.maintenance_margin, view.orders_at) == (*margins, AT)


@pytest.mark.parametrize("leverage", [5, "1.0", None])
def test_no_margin_is_known_while_a_position_has_a_leverage_of_its_own(wire: Wire, leverage: object) -> None:
    """The account's figures would say that such a position is liquidated much later than it is."""

    def answer(asked: Asked) -> Scripted:
        lists: dict[str, object] = dict.fromkeys(("openOrders", "fills", "logs", "elements"), ())
        rows = [POSITION | {"maxFixedLeverage": leverage}, POSITION | {"symbol": "PF_ETHUSD"}]
        marks = [{"symbol": str(row["symbol"]), "markPrice": 30_000} for row in rows]
        candles = [{"time": ms(AT.replace(hour=0, minute=0) - timedelta(minutes=1)), "close": "30000"}]
        lists |= {"openPositions": rows, "tickers": marks, "candles": candles, "accounts": {"flex": FLEX}}
        return Scripted(200, {"result": "success", **lists, "accountUid": "x", "serverTime": iso(AT)})

    wire.script = answer
    tally = DriftTally()
    view = reader(wire, tally).view()
    margins = (None, None) if leverage else (50, 25)
    assert (view.account.initial_margin, view.account.maintenance_margin, view.account.available) == (*margins, 700)
    assert (len(view.positions), view.unreadable, view.whole_at) == (2, 0, AT)
    assert [drift.field for drift in tally.counts] == ["maxFixedLeverage"] * bool(leverage)


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
    since = SinceMidnight(
        cash + held * now, symbols, {"PF_XBTUSD": Decimal(now)}, fills, (), lambda symbol: Decimal(then)
    )
    assert equity_at_midnight(since) == began


def test_what_the_day_began_with_is_worked_out_once(tmp_path: Path) -> None:
    asked = []

    def work_out() -> Decimal:
        asked.append(1)
        return Decimal("12.5")

    day = date(2026, 11, 20)
    found = [OpeningEquity(tmp_path).of("a", day, work_out), OpeningEquity(tmp_path).of("a", day, work_out)]
    assert (found, len(asked)) == ([Decimal("12.5")] * 2, 1)
    OpeningEquity(tmp_path).of("another", day, work_out)
    file = tmp_path / "venue.day"
    for damaged in ("{", file.read_text().replace("12.5", "1"), '{"day": "another 2026-11-20", "equity": "1"}'):
        file.write_text(damaged)
        assert OpeningEquity(tmp_path).of("another", day, work_out) == Decimal("12.5"), damaged
    assert len(asked) == 5


@pytest.mark.parametrize(("newest", "mark"), [(0, "10"), (-60, "11"), (-540, "11")])
def test_the_mark_at_midnight_is_the_close_of_the_bar_before_or_none(wire: Wire, newest: int, mark: str) -> None:
    night = datetime(2026, 11, 20, tzinfo=UTC)
    times = [(night + timedelta(seconds=seconds)).timestamp() * 1000 for seconds in (-600, newest)]
    candles = [
        {"time": int(at), "open": "11", "high": "13", "low": "10", "close": str(10 + place)}
        for place, at in enumerate(times)
    ]
    wire.answer(Scripted(200, {"candles": candles, "more_candles": False}))
    assert reader(wire)._mark_at(night, "PF_XBTUSD") == Decimal(mark)
    wire.answer(Scripted(200, {"candles": [], "more_candles": False}))
    with pytest.raises(TemporaryError, match="mark"):
        reader(wire)._mark_at(night, "PF_XBTUSD")
