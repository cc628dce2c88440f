"""`why-no-orders` shows what would have let a refused candidate through, and the command that makes it so."""

import shutil

import pytest

from commands.why_no_orders import advising
from tests.kit.bot.folder import Bot

TIGHT = ("limits.min_order_notional_usd", "6000", "strategies.flow.limits.min_score", "0.9")
CHANGE = "strategies.flow.limits.min_score 0.195 limits.min_order_notional_usd 4900"


@pytest.fixture
def refused(shared_trader: Bot) -> Bot:
    """Return a bot after one pass that refused all of its candidates."""
    if not (shared_trader.folder / "passes.db").exists():
        assert shared_trader.says("config", "set", *TIGHT).code == 0
        assert shared_trader.json("trade-once")["orders"] == 0
    return shared_trader


def test_symbol_shows_the_smallest_change_and_its_command(refused: Bot) -> None:
    shown = refused.shown("why-no-orders", "AMZN").splitlines()
    at = next(number for number, line in enumerate(shown) if line.startswith("Advice: "))
    # It was accepted with values that allow more, so nothing has to be accepted.
    assert shown[at : at + 3] == [
        "Advice: With strategies.flow.limits.min_score 0.195 (it was 0.9) and limits.min_order_notional_usd 4900 (it "
        "was 6000), AMZN would have gone out. No other order in that pass would change.",
        f"  tradebot config set {CHANGE}",
        "",
    ]
    advice = refused.json("why-no-orders", "AMZN")["advice"]
    assert advice["commands"] == [f"tradebot config set {CHANGE}"]
    assert [(one["key"], one["value"]) for one in advice["changes"]] == [
        ("strategies.flow.limits.min_score", "0.195"), ("limits.min_order_notional_usd", "4900"),
    ]  # fmt: skip


def test_symbol_that_nothing_helps_says_what_stands_in_the_way(refused: Bot) -> None:
    assert (
        "Advice: No change of one or two settings lets it through: it is refused by "
        "strategy: cluster, score and order_notional." in refused.shown("why-no-orders", "NVDA")
    )


def test_the_pass_lists_all_changes_the_smallest_first(refused: Bot) -> None:
    shown = refused.shown("why-no-orders")
    told = shown[shown.index("What would have let them through") :].splitlines()
    assert told[1].startswith("  AMZN: strategies.flow.limits.min_score 0.195 (it was 0.9), limits.min_order_notional")
    assert told[2:] == [
        "  No change of one or two settings that its gates read lets it through: 3 candidates",
        "tradebot why-no-orders SYMBOL tries its strategy's own settings too, and shows the command.",
    ]
    assert refused.json("why-no-orders")["advice"][0]["symbol"] == "AMZN"
    assert "What would have" not in refused.shown("why-no-orders", "--since", "1d")


def test_a_pass_with_very_many_candidates_is_left_at_what_was_found(
    refused: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advising, "WORK", 5)
    assert [one["searched"] for one in refused.json("why-no-orders")["advice"]] == [True, False, False, False]
    assert "Not searched, because there are too many: 3 candidates" in refused.shown("why-no-orders")


def test_advice_that_is_in_force_already_says_so_and_has_no_command(refused: Bot) -> None:
    assert refused.says("config", "set", "limits.min_order_notional_usd", "4000").code == 0
    try:
        advice = refused.json("why-no-orders", "AMZN")["advice"]
        assert advice["sentence"].endswith("That is in force already: now, limits.min_order_notional_usd is 4000.")
        assert advice["commands"] == ["tradebot config set strategies.flow.limits.min_score 0.195"]
        assert refused.says("config", "set", "strategies.flow.limits.min_score", "0.1").code == 0
        assert refused.json("why-no-orders", "AMZN")["advice"]["commands"] == []
    finally:
        refused.says("config", "set", *TIGHT)


def test_a_pass_whose_record_is_gone_is_explained_without_advice(refused: Bot) -> None:
    kept = refused.folder / "passes.db"
    shutil.move(kept, kept.with_suffix(".away"))
    try:
        shown = refused.shown("why-no-orders", "AMZN")
        assert "Advice: What would have let it through can't be searched: what the pass read isn't kept." in shown
        assert "What would have" not in refused.shown("why-no-orders")
    finally:
        shutil.move(kept.with_suffix(".away"), kept)


def test_damaged_records_are_told_in_place_of_advice(refused: Bot) -> None:
    kept = refused.folder / "passes.db"
    whole = kept.read_bytes()
    kept.write_bytes(whole[:512] + bytes(len(whole) - 512))
    try:
        assert "What would have let them through can't be searched: " in refused.shown("why-no-orders")
    finally:
        kept.write_bytes(whole)


def test_a_dry_run_has_no_advice(refused: Bot) -> None:
    refused.says("trade-once", "--dry-run", "--force-slot")
    assert "Advice" not in refused.shown("why-no-orders", "AMZN", "--dry")
