"""What a person types names a symbol, and a root names its contract in the universe."""

import pytest

from commands.shared.universe import contract_named
from tradebot.app.venues import driver_for
from tradebot.errors import OperatorError


@pytest.mark.parametrize(("typed", "meant"), [("MES", "MESZ6"), ("mnq1!", "MNQZ6"), ("MESH7", "MESH7")])
def test_a_root_is_its_contract_in_the_universe(typed: str, meant: str) -> None:
    assert contract_named(driver_for("ibkr"), ["MESZ6", "MNQZ6"], typed) == meant


def test_a_root_outside_the_universe_could_mean_any_month() -> None:
    with pytest.raises(OperatorError, match="GC has one contract per month"):
        contract_named(driver_for("ibkr"), ["MESZ6"], "GC")


def test_where_contracts_do_not_end_a_symbol_is_itself() -> None:
    assert contract_named(driver_for("alpaca"), ["AAPL"], "aapl") == "AAPL"
