"""What is proposed for a mistyped name."""

import pytest

from tradebot.model.sentences import closest_names

LIMITS = ("max_open_positions", "max_contracts", "max_new_entries", "max_order_fraction")


@pytest.mark.parametrize(
    ("typed", "names", "closest"),
    [
        ("max_opn", LIMITS, ["max_open_positions"]),
        ("max_contract", LIMITS, ["max_contracts"]),
        ("krakn", ("alpaca", "kraken_futures", "ibkr"), ["kraken_futures"]),
        ("statsu", ("start", "status", "stop"), ["status"]),
        ("APPL", ("AAPL", "MSFT"), ["AAPL"]),
        ("--session", ("--json",), []),
        ("--profil", ("--fill", "--profile"), ["--profile"]),
        ("buy", ("halt", "status"), []),
        ("", ("halt", "status"), []),
        ("halt", (), []),
    ],
)
def test_the_name_is_proposed_whose_words_are_most_like_what_was_typed(
    typed: str, names: tuple[str, ...], closest: list[str]
) -> None:
    assert closest_names(typed, names) == closest


def test_the_closest_come_first_and_no_more_than_wanted() -> None:
    assert closest_names("max_o", LIMITS, 2) == ["max_open_positions", "max_order_fraction"]
