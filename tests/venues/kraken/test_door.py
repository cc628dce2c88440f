"""What `doctor` asks of Kraken Futures alone: the last nonce, whether the key may trade, isolated margin.

What people call a perpetual, and what they could mean otherwise.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papervenue.market.coins import SYMBOLS
from tests.kit.adapters.kraken import error, venue_at
from tests.kit.fakes.scripted import Scripted, Wire, serving
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import TemporaryError
from tradebot.judging.judgment import HealthState
from tradebot.model.struct_tools import replace
from tradebot.venues.kraken.client import Nonces
from tradebot.venues.kraken.door import coin_of, door, perpetual_of, symbol_of

OWN = door().checks.own
MISSING = {"result": "success", "cancelStatus": {"status": "notFound"}, "serverTime": "2026-11-20T15:30:00Z"}


@pytest.fixture
def wire() -> Iterator[Wire]:
    with serving() as at:
        yield at


@pytest.mark.parametrize(
    ("ahead_s", "state"), [(-3600, HealthState.OK), (30, HealthState.OK), (90, HealthState.DEGRADED)]
)
def test_a_nonce_far_ahead_of_the_clock_is_told(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: int, state: HealthState
) -> None:
    taken_ns = time.time_ns() + ahead_s * 10**9
    with monkeypatch.context() as clock:
        clock.setattr(time, "time_ns", lambda: taken_ns)
        Nonces(tmp_path).take()
    look = OWN["nonce"](replace(venue_at(wire), nonces=Nonces(tmp_path)), DriftTally())
    assert (look.state, bool(look.fix), wire.asked) == (state, state is HealthState.DEGRADED, [])


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (MISSING, HealthState.OK),
        ({**MISSING, "cancelStatus": {"status": "cancelled"}}, HealthState.FAILED),
        (error("insufficientPrivileges"), HealthState.FAILED),
        ([], HealthState.FAILED),
    ],
)
def test_a_key_may_trade_if_it_is_told_that_an_order_is_missing(wire: Wire, told: object, state: HealthState) -> None:
    wire.answer(Scripted(200, told))
    look = OWN["key"](venue_at(wire), DriftTally())
    assert (look.state, [(one.method, one.path) for one in wire.asked]) == (
        state,
        [("POST", "/derivatives/api/v3/cancelorder")],
    )


@pytest.mark.parametrize(
    ("symbols", "state"), [([], HealthState.OK), (["PF_XBTUSD", "PF_ETHUSD"], HealthState.DEGRADED)]
)
def test_symbols_with_isolated_margin_are_told(wire: Wire, symbols: list[str], state: HealthState) -> None:
    rows = [{"symbol": symbol, "maxLeverage": 5} for symbol in symbols]
    wire.answer(Scripted(200, MISSING | {"leveragePreferences": rows}))
    look = OWN["margin"](venue_at(wire), DriftTally())
    assert (look.state, bool(look.fix), "PF_ETHUSD, PF_XBTUSD" in look.found) == (state, bool(rows), bool(rows))
    wire.answer(Scripted(200, MISSING | {"leveragePreferences": [{"maxLeverage": 5}]}))
    with pytest.raises(TemporaryError, match="leverage preferences can't be read"):
        OWN["margin"](venue_at(wire), DriftTally())


coins = st.from_regex(r"[A-Z0-9]{1,12}", fullmatch=True).filter(lambda coin: not coin.endswith("USD"))


def test_a_perpetual_has_one_symbol_whatever_it_is_called() -> None:
    names = {
        "PF_TRXUSD": ("PF_TRXUSD", "pf_trxusd", "TRX/USD", "trx/usd", "TRX/USD:USD", "trx", " TRX "),
        "PF_XBTUSD": ("btc", "XBT", "BTC/USD", "XBT/USD:USD", "PF_XBTUSD"),
        "PF_DOGEUSD": ("XDG", "doge", "XDG/USD"),
        "PF_TUSDUSD": ("TUSD/USD",),
        "PI_XBTUSD": ("PI_XBTUSD",),
    }
    assert {symbol: {symbol_of(name) for name in those} for symbol, those in names.items()} == {
        symbol: {symbol} for symbol in names
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("BTC/EUR", "isn't quoted and settled in USD"),
        ("ETH/BTC", "isn't quoted and settled in USD"),
        ("BTC/USD:BTC", "isn't quoted and settled in USD"),
        ("BTC/USDT", "isn't quoted and settled in USD"),
        ("BTCUSD", "may be a pair or a coin; write BTC/USD or PF_BTCUSD"),
        ("USD", "may be a pair or a coin"),
        ("", "is not the name of a perpetual"),
        ("BTC USD", "is not the name of a perpetual"),
        ("BTC//USD", "is not the name of a perpetual"),
        ("₿", "is not the name of a perpetual"),
    ],
)
def test_what_could_mean_several_things_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        symbol_of(text)


@given(coins)
def test_every_way_of_writing_a_coin_gives_the_same_symbol_and_that_gives_itself(coin: str) -> None:
    symbol = symbol_of(coin)
    assert {symbol_of(f"{coin}/USD"), symbol_of(f"{coin}/USD:USD"), symbol_of(coin.lower()), symbol_of(symbol)} == {
        symbol
    }


def test_every_contract_and_every_name_of_a_coin_gives_the_coin() -> None:
    bitcoin = ("PF_XBTUSD", "pf_xbtusd", "PI_XBTUSD", "FF_XBTUSD_261225", "FI_XBTUSD_261225", "XBT", "btc", "XBT/USD")
    assert {coin_of(name) for name in bitcoin} == {"BTC"}
    assert {coin_of(name) for name in ("PF_TRXUSD", "TRX/USD", "TRX/USD:USD", "trx")} == {"TRX"}
    assert {coin_of(name) for name in ("PF_DOGEUSD", "XDG", "xdg/usd")} == {"DOGE"}
    assert {coin_of(name) for name in ("PF_TUSDUSD", "TUSD/USD")} == {"TUSD"}


@pytest.mark.parametrize("text", ["BTCUSD", "RR_XBTUSD", "PF_XBTEUR", "PF_USD", "FF_XBTUSD_26", "BTC/EUR", ""])
def test_what_is_no_contract_of_a_single_coin_has_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"single coin|quoted and settled in USD|may be a pair|is not the name"):
        coin_of(text)


def test_each_of_the_56_perpetuals_gives_a_coin_that_gives_it_back() -> None:
    coins = [coin_of(symbol) for symbol in SYMBOLS]
    assert len(set(coins)) == len(SYMBOLS) == 56
    assert [perpetual_of(coin) for coin in coins] == [symbol_of(coin) for coin in coins] == list(SYMBOLS)


@given(coins)
def test_the_coin_of_a_perpetual_is_the_one_that_it_was_named_by(coin: str) -> None:
    assert coin_of(perpetual_of(coin)) == coin_of(f"{coin}/USD")
    assert perpetual_of(coin_of(perpetual_of(coin))) == perpetual_of(coin)
