"""Fills from the texts of their rows."""

from decimal import Decimal

import pytest

from tests.kit.values import NOW
from tradebot.adapters.ledger.rows import decode_cached, forget, owned_fill, proven_fill
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import encode
from tradebot.errors import DamagedBooksError
from tradebot.model.candidate import Side
from tradebot.model.order import Fee, Fill
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.struct_tools import replace

BOUGHT = Fill("a-1", "v-1", "AAPL", Side.BUY, Decimal("0.125"), Decimal("101.5"), NOW)
FILLS = [
    OwnedFill("swing", BOUGHT),
    OwnedFill("", replace(BOUGHT, side=Side.SELL, venue_order_id=""), Origin.ACTIVITY, "20261102:AAPL"),
    OwnedFill("swing", replace(BOUGHT, multiplier=Decimal("0.001"))),
    OwnedFill("swing", replace(BOUGHT, fee=Fee(Decimal("-0.25")))),
    OwnedFill("swing", replace(BOUGHT, multiplier=Decimal(50), fee=Fee(None, "BTC"))),
    OwnedFill("", replace(BOUGHT, liquidation=True)),
    OwnedFill("", replace(BOUGHT, settlement=True)),
]


def test_only_what_the_venue_made_itself_is_written_as_that() -> None:
    plain, liquidated, settled = (encode(FILLS[place])["fill"] for place in (0, -2, -1))
    assert (set(liquidated) - set(plain), set(settled) - set(plain)) == ({"liquidation"}, {"settlement"})
    assert list(plain) == ["activity_id", "venue_order_id", "symbol", "side", "quantity", "price", "at"]


@pytest.mark.parametrize("owned", FILLS)
def test_proven_fill_equals_what_the_codec_reads(owned: OwnedFill) -> None:
    text = json_text(encode(owned))
    assert proven_fill(text, owned.origin, owned.about) == owned_fill(text, owned.origin, owned.about) == owned
    # The columns count: the texts of earlier versions say nothing of an origin.
    assert proven_fill(text, Origin.PLAN, "by hand") == replace(owned, origin=Origin.PLAN, about="by hand")


@pytest.mark.parametrize("change", [('"symbol"', '"sign"'), ('"0.125"', '"many"'), ('"buy"', '"hold"'), ("{", "[")])
def test_proven_fill_refuses_a_text_that_is_no_fill(change: tuple[str, str]) -> None:
    with pytest.raises(DamagedBooksError, match="can't be read"):
        proven_fill(json_text(encode(FILLS[0])).replace(*change), Origin.VENUE, "")


def test_stored_text_is_parsed_once_until_the_cache_is_emptied() -> None:
    text = json_text(encode(FILLS[0]))
    kept = decode_cached(OwnedFill, text)
    assert decode_cached(OwnedFill, text) is kept
    forget()
    again = decode_cached(OwnedFill, text)
    assert again == kept
    assert again is not kept
