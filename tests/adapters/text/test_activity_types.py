"""What the words of activities mean: Alpaca's, those that books of earlier versions hold, and the core's own."""

import pytest

from tradebot.adapters.text.activity_types import meaning_if_any, meaning_of
from tradebot.model.account import ActivityKind

CASH_ALONE = """
ACATC CFEE CGD CSD CSW DIV DIVCGL DIVCGS DIVFEE DIVFT DIVNRA DIVROC DIVTW DIVTXEX FEE INT INTNRA INTTW JNLC PTC PTR
"""
"""Alpaca's words for what moves no shares."""


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        (("FEE", "REG"), ActivityKind.FEE),
        (("FEE", "COM"), ActivityKind.COMMISSION),
        (("FEE", "BRW"), ActivityKind.BORROW_FEE),
        (("PTC", ""), ActivityKind.OTHER_FEE),
        (("DIV", "CDIV"), ActivityKind.DIVIDEND),
        (("DIV", "SDIV"), ActivityKind.STOCK_DIVIDEND),
        (("SPLIT", "FWD"), ActivityKind.SPLIT),
        (("NC", "NAME"), ActivityKind.RENAME),
        (("MA", "CMA"), ActivityKind.MERGER),
        (("OPTRD", ""), ActivityKind.OPTION_TRADE),
        (("JNLS", ""), ActivityKind.SHARES),
        (("a word of next year", "COM"), ActivityKind.OTHER),
    ],
)
def test_words_of_alpaca_have_a_meaning(words: tuple[str, str], meaning: ActivityKind) -> None:
    assert meaning_of(*words) is meaning


def test_cash_alone_moves_no_shares_unless_it_pays_some() -> None:
    alone = CASH_ALONE.split()
    assert [word for word in alone if meaning_of(word, "").moves_shares] == []
    assert [word for word in alone if not meaning_of(word, "SDIV").moves_shares] == []
    assert meaning_of("SPLIT", "SDIV") is ActivityKind.SPLIT


@pytest.mark.parametrize("kind", ActivityKind)
def test_another_venue_stores_the_words_of_the_core(kind: ActivityKind) -> None:
    assert meaning_of(kind.value, "its own word") is kind


def test_a_movement_without_a_word_is_a_persons_plan() -> None:
    assert meaning_if_any("", "") is None
    assert meaning_if_any("INT", "") is ActivityKind.INTEREST
