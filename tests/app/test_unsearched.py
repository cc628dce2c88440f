"""What advice doesn't search is named in one place: every other setting that a pass reads is searched."""

from tests.app.brute_force import leaves
from tradebot.app.searched import setting_at
from tradebot.app.settings import load
from tradebot.app.shaping import shaping
from tradebot.app.unsearched import UNSEARCHED, is_searched
from tradebot.gates.reads import READS, SIZED


def test_sections_that_are_named_and_what_is_in_them_are_not_searched() -> None:
    assert not is_searched(("mode",))
    assert not is_searched(("halts", "rejects"))
    assert not is_searched(("strategies", "flow", "exits"))
    assert is_searched(("strategies", "flow", "lookback_s"))
    assert is_searched(("exits", "stop_loss_fraction"))
    assert all(UNSEARCHED.values())


def test_every_number_switch_and_choice_of_a_strategy_is_searched() -> None:
    settings = load(None, {}, {}).settings
    own = {one.path for one in leaves(settings, "flow") if one.path[0] == "strategies"}
    shaped = {one.path for one in shaping(settings, "flow")}
    of_core = {path for path in own - shaped if path[2] in {"limits", "execution", "allotment_fraction"}}
    assert own - shaped == of_core
    assert shaped <= own


def test_what_gates_read_of_exits_costs_and_displacement_can_be_set() -> None:
    costs = {"taker_bps": 1, "maker_bps": 1, "slippage_bps": 1, "funding_day_bps": 1, "hold_s": 600}
    settings = load(None, {}, {"costs": costs}).settings
    for section in ("exits", "costs", "displacement"):
        names = {name for reads in (*READS.values(), SIZED) for name in getattr(reads, section)}
        assert names
        assert all(setting_at(settings, (section, name)) for name in names)
