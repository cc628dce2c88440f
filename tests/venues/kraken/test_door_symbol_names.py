"""What people call a perpetual, and what they could mean otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papervenue.market.coins import SYMBOLS
from tradebot.venues.kraken.door import coin_of, perpetual_of, symbol_of

coins = st.from_regex(r"[A-Z0-9]{1,12}", fullmatch=True).filter(lambda coin: not coin.endswith("USD"))


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        *(
            (text, "PF_TRXUSD")
            for text in ("PF_TRXUSD", "pf_trxusd", "TRX/USD", "trx/usd", "TRX/USD:USD", "trx", " TRX ")
        ),
        *((text, "PF_XBTUSD") for text in ("btc", "XBT", "BTC/USD", "XBT/USD:USD", "PF_XBTUSD")),
        *((text, "PF_DOGEUSD") for text in ("XDG", "doge", "XDG/USD")),
        ("TUSD/USD", "PF_TUSDUSD"),
        ("PI_XBTUSD", "PI_XBTUSD"),
    ],
)
def test_a_perpetual_has_one_symbol_whatever_it_is_called(text: str, symbol: str) -> None:
    assert symbol_of(text) == symbol


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("BTC/EUR", "isn't quoted and settled in USD"),
        ("ETH/BTC", "isn't quoted and settled in USD"),
        ("BTC/USD:BTC", "isn't quoted and settled in USD"),
        ("BTC/USDT", "isn't quoted and settled in USD"),
        ("BTCUSD", "may be a pair or a coin; write BTC/USD or PF_BTCUSD"),
        ("USD", "may be a pair or a coin"),
        ("", "names no perpetual"),
        ("BTC USD", "names no perpetual"),
        ("BTC//USD", "names no perpetual"),
        ("₿", "names no perpetual"),
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


@pytest.mark.parametrize(
    ("coin", "names"),
    [
        (
            "BTC",
            ("PF_XBTUSD", "pf_xbtusd", "PI_XBTUSD", "FF_XBTUSD_261225", "FI_XBTUSD_261225", "XBT", "btc", "XBT/USD"),
        ),
        ("TRX", ("PF_TRXUSD", "TRX/USD", "TRX/USD:USD", "trx")),
        ("DOGE", ("PF_DOGEUSD", "XDG", "xdg/usd")),
        ("TUSD", ("PF_TUSDUSD", "TUSD/USD")),
    ],
)
def test_every_contract_and_every_name_of_a_coin_gives_the_coin(coin: str, names: tuple[str, ...]) -> None:
    assert {coin_of(name) for name in names} == {coin}


@pytest.mark.parametrize("text", ["BTCUSD", "RR_XBTUSD", "PF_XBTEUR", "PF_USD", "FF_XBTUSD_26", "BTC/EUR", ""])
def test_what_is_no_contract_of_a_single_coin_has_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"single coin|quoted and settled in USD|may be a pair|names no perpetual"):
        coin_of(text)


def test_each_of_the_56_perpetuals_gives_a_coin_that_gives_it_back() -> None:
    coins = [coin_of(symbol) for symbol in SYMBOLS]
    assert len(set(coins)) == len(SYMBOLS) == 56
    assert [perpetual_of(coin) for coin in coins] == [symbol_of(coin) for coin in coins] == list(SYMBOLS)


@given(coins)
def test_the_coin_of_a_perpetual_is_the_one_that_it_was_named_by(coin: str) -> None:
    assert coin_of(perpetual_of(coin)) == coin_of(f"{coin}/USD")
    assert perpetual_of(coin_of(perpetual_of(coin))) == perpetual_of(coin)
