"""What people call a perpetual, and what they could mean otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.adapters.kraken.names import symbol_of

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
