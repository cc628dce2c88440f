"""Whatever is looser than what was accepted blocks entries and is named; what is tighter blocks nothing."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import OPTIONS, desk
from tradebot.app.baseline import differences, effective, section_of, tighter_direction
from tradebot.app.settings import Loaded, Settings, load
from tradebot.gates.permission import PermissionInputs, permission_of
from tradebot.gates.shared_gates import permission, permission_to_enter
from tradebot.model.limits import Frozen, Tighter
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Baseline, Difference, Mode

AT = datetime(2026, 11, 17, 15, tzinfo=UTC)
MINE = "limits: {max_order_notional_usd: 500}\nshadow: true\n"


def accepted(found: Loaded) -> Baseline:
    return Baseline(effective(found.settings), "ann/1", AT)


def told(found: tuple[Difference, ...] | None) -> PermissionInputs:
    return PermissionInputs(Mode.PAPER, "", "912345678", {}, None, differences=found)


def leaves(model: type[Frozen], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of every setting that is no section."""
    found = []
    for name, field in model.model_fields.items():
        inner: Any = section_of(field.annotation)
        section = isinstance(inner, type) and issubclass(inner, Frozen)
        found += leaves(inner, (*path, name)) if section else [(*path, name)]
    return found


def undeclared(model: type[Frozen]) -> list[str]:
    return [".".join(path) for path in leaves(model) if tighter_direction(model, path) is None]


def test_every_setting_declares_its_tighter_direction() -> None:
    assert undeclared(Settings) == []
    assert len(leaves(Settings)) > 70


def test_setting_without_a_declared_direction_is_found_in_any_section() -> None:
    class Inner(Frozen):
        told: Annotated[int, Tighter.LOWER]
        forgotten: int

    class Outer(Frozen):
        inner: Inner | None
        whole: Annotated[Inner, Tighter.ALWAYS]
        bare: dict[str, int]

    assert undeclared(Outer) == ["inner.forgotten", "bare"]


def test_only_settings_of_the_sandbox_of_backtests_reports_and_notices_cannot_change_orders() -> None:
    free = [path for path in leaves(Settings) if tighter_direction(Settings, path) is Tighter.ALWAYS]
    others = {path for path in free if path[0] not in ("sandbox", "serve", "health", "storage")}
    assert {("serve", "grace_s"), ("storage", "min_free_mb")}.isdisjoint(free)
    assert others == {
        ("notify", "channels"),
        ("unusual_whales", "keep_raw_sessions"),
        ("report", "cash_rate"),
        ("tax", "method"),
        ("backtest", "unhalt_after_sessions"),
    }


LIMITS = st.dictionaries(
    st.sampled_from(sorted(load(None, {}).settings.limits.model_dump())), st.sampled_from(("0.5", "1", "2")), max_size=6
)
"""By what each limit is multiplied."""
BASE = load(None, {}).settings
WAITS = frozenset({"duplicate_window_s", "cooldown_s", "loss_cooldown_s", "loss_streak_wait_s", "wash_sale_days"}) | {
    "liquid_hours_only"
}
"""The limits that are looser when they are lower although their names don't begin with `min_`."""


def looser_when_lower(name: str) -> bool:
    """Tell from a limit's name in which direction it is looser: the declaration in limits.py must agree."""
    return name.startswith("min_") or name in WAITS


def is_looser(name: str, before: Any, after: Any) -> bool:
    """Tell whether a limit allows more than before; one that is off allows everything."""
    if name == "target_tolerance_fraction":
        # Neither direction is tighter.
        return bool(before != after)
    if before is None or after is None:
        return after is None and before is not None
    return bool(after < before if looser_when_lower(name) else after > before)


def scaled(factors: dict[str, str]) -> Settings:
    """Return the shipped settings with some limits scaled, unchecked; those that are off are set for that."""
    was = BASE.limits.model_dump() | OPTIONS
    limits = {
        name: Decimal(by) >= 1
        if isinstance(was[name], bool)
        else type(was[name])(Decimal(str(was[name])) * Decimal(by))
        for name, by in factors.items()
    }
    return BASE.model_copy(update={"limits": BASE.limits.model_copy(update=limits)})


@given(LIMITS, LIMITS)
def test_entries_close_if_any_limit_is_looser_and_exits_never_do(before: dict[str, str], after: dict[str, str]) -> None:
    was, now = scaled(before), scaled(after)
    baseline = Baseline(effective(was), "ann/1", AT)
    found = differences(now, baseline, {})
    looser = set()
    for name in before.keys() | after.keys():
        if is_looser(name, getattr(was.limits, name), getattr(now.limits, name)):
            looser.add(f"limits.{name}")
    said = {difference.name for difference in found if difference.looser}
    assert said == looser, "tradebot/model/limits.py: min_… is Tighter.HIGHER, max_… is Tighter.LOWER"
    at = desk(permission=permission_of(told(found)))
    assert permission_to_enter(at).passed is not bool(looser)
    assert permission(at).passed
    assert baseline == Baseline(effective(was), "ann/1", AT), "nothing moves it but a person"


def closed(baseline: Baseline, now: Loaded) -> dict[str, tuple[Any, Any, str]]:
    """Return what is looser, and see that the door says each by its name and source."""
    found = differences(now.settings, baseline, now.origins)
    looser = [difference for difference in found if difference.looser]
    ((reason, words),) = permission_of(told(found)).entries_closed
    assert reason is Reason.CONFIG_LOOSENED
    assert all(difference.name in words and difference.origin in words for difference in looser)
    return {row.name: (row.approved, row.now, row.origin) for row in looser}


def test_looser_value_in_a_file_is_shown_with_the_accepted_one_and_its_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(MINE)
    before = accepted(load(mine, {}))
    mine.write_text(MINE.replace("500", "4981"))
    assert closed(before, load(mine, {})) == {"limits.max_order_notional_usd": ("500", "4981", str(mine))}


def test_defaults_are_named_as_the_source_after_a_file_is_removed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(MINE)
    assert closed(accepted(load(mine, {})), load(None, {})) == {
        "shadow": (True, False, "release default: base.yaml"),
        "limits.max_order_notional_usd": ("500", "10000", "release default: base.yaml"),
    }


def test_looser_value_of_a_variable_is_shown_with_its_name() -> None:
    before = accepted(load(None, {}))
    environ = {"TRADEBOT_LIMITS__MIN_SCORE": "0.01", "TRADEBOT_TIMETABLE__FETCH_FLOW": "every 1m while open"}
    assert closed(before, load(None, environ)) == {
        "limits.min_score": (0.05, 0.01, "environment: TRADEBOT_LIMITS__MIN_SCORE"),
        "timetable.fetch-flow": (
            "every 5m from open+2m until close",
            "every 1m while open",
            "environment: TRADEBOT_TIMETABLE__FETCH_FLOW",
        ),
    }


def test_release_that_loosens_adds_or_drops_a_setting_needs_approval() -> None:
    now = load(None, {})
    values = effective(now.settings)
    values["halts"]["rejects"] = 4
    del values["limits"]["max_spread_fraction"]
    values["limits"]["max_of_old"] = 7
    found = closed(Baseline(values, "ann/1", AT), now)
    assert found == {
        "halts.rejects": (4, 5, "release default: base.yaml"),
        "limits.max_spread_fraction": (None, "0.005", "release default: base.yaml"),
        "limits.max_of_old": (7, None, "nothing sets it"),
    }


def test_chat_that_may_close_needs_approval_and_so_do_pages_that_may_close_again() -> None:
    now = load(None, {})
    values = effective(now.settings)
    assert (values["chat"].pop("may_close"), values.pop("web")) == (False, {"may_close": True})
    del values["news"]
    earlier = Baseline(values, "ann/1", AT)
    assert not loosened(earlier, now), "a release that had none of them"
    restored = Settings.model_validate(earlier.values)
    assert (restored.chat.may_close, restored.web.may_close) == (False, False)
    may = load(None, {}, {"chat": {"may_close": True}, "web": {"may_close": True}})
    assert loosened(earlier, may) == loosened(accepted(now), may) == ["chat.may_close"]
    assert not loosened(accepted(may), now)
    may_not = load(None, {}, {"web": {"may_close": False}})
    assert (loosened(accepted(may_not), now), loosened(accepted(now), may_not)) == (["web.may_close"], [])


def loosened(baseline: Baseline, loaded: Loaded) -> list[str]:
    return [one.name for one in differences(loaded.settings, baseline, loaded.origins) if one.looser]


def test_conditions_of_promotion_need_approval_only_if_they_are_loosened() -> None:
    now = load(None, {})
    values = effective(now.settings)
    del values["promotion"]
    earlier = differences(now.settings, Baseline(values, "ann/1", AT), now.origins)
    assert earlier
    assert not any(one.looser for one in earlier), "a release that had none asked for less"
    loose = load(None, {}, {"promotion": {"live": {"trades": 100, "spa_p": 0.2, "mean_above": 0}}})
    tight = load(None, {}, {"promotion": {"live": {"trades": 200, "spa_p": 0.01}}})
    assert list(closed(accepted(now), loose)) == ["promotion.live.spa_p"]
    assert [one.looser for one in differences(tight.settings, accepted(now), tight.origins)] == [False, False]
    none = load(None, {}, {"promotion": {"live": {"drawdown_worse": None}}})
    assert list(closed(accepted(now), none)) == ["promotion.live.drawdown_worse"]
    fewer = load(None, {}, {"promotion": {"paper": {"policy": {"seeds": 4, "spa_p": 0.01}}, "learned": []}})
    assert list(closed(accepted(now), fewer)) == ["promotion.learned", "promotion.paper.policy.seeds"]


OWN = "strategies: {flow: {limits: {max_open_positions: 4}}, mine: {limits: {min_score: 0.4}, depth: 7}}\n"


@pytest.mark.parametrize(
    ("change", "looser"),
    [
        (("max_open_positions: 4", "max_open_positions: 3"), {}),
        (("max_open_positions: 4", "max_open_positions: 5"), {"strategies.flow.limits.max_open_positions": (4, 5)}),
        (("min_score: 0.4", "min_score: 0.5"), {}),
        (("min_score: 0.4", "min_score: 0.3"), {"strategies.mine.limits.min_score": (0.4, 0.3)}),
        (("{min_score: 0.4}", "{}"), {"strategies.mine.limits.min_score": (0.4, None)}),
        (("{min_score: 0.4}", "{min_score: 0.4, min_coverage: 0.9}"), {}),
        (("depth: 7", "depth: 7}, other: {limits: {}, depth: 1"), {"strategies.other.depth": (None, 1)}),
        (("depth: 7", "depth: 6"), {"strategies.mine.depth": (7, 6)}),
        (("depth: 7", "depth: 7, exits: []"), {"strategies.mine.exits": (None, [])}),
        (("depth: 7", "depth: 7, allotment_fraction: 0.1"), {"strategies.mine.allotment_fraction": (None, "0.1")}),
        (("depth: 7", "depth: 7, times: every 5m"), {"strategies.mine.times": (None, "every 5m")}),
    ],
)
def test_looser_own_limit_of_a_strategy_closes_entries_and_a_tighter_one_does_not(
    tmp_path: Path, change: tuple[str, str], looser: dict[str, tuple[Any, Any]]
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(OWN)
    before = accepted(load(mine, {}))
    mine.write_text(OWN.replace(*change))
    found = differences(load(mine, {}).settings, before, {})
    assert found
    assert {row.name: (row.approved, row.now) for row in found if row.looser} == looser


def test_own_limits_missing_from_an_old_approval_need_approval_once() -> None:
    now = load(None, {})
    values = effective(now.settings)
    own = values["strategies"]["flow"].pop("limits")
    values["limits"] |= own
    looser = {row.name for row in differences(now.settings, Baseline(values, "ann/1", AT), {}) if row.looser}
    assert looser == {f"limits.{name}" for name in own}


@pytest.mark.parametrize(
    ("text", "looser"),
    [
        ("universe: [MSFT, AAPL]\n", False),
        ("universe: [AAPL, MSFT, NVDA, PLTR]\n", True),
        ("sectors: {AAPL: media}\n", True),
        ("sectors: {NEWNAME: media}\n", True),
        ("strategies: {flow: {long_only: true}}\n", False),
        ("strategies: {flow: {weights: {flow: 0.41}}}\n", True),
        ("strategies: {mine: {a: {b: 1}}}\n", True),
        ("strategies: {mine: {}}\n", True),
        ("strategies: {flow: null, mine: {}}\n", True),
        ("plugins: {timeout_s: 5}\n", False),
        ("alpaca: {feed: iex}\n", True),
        ("sandbox: {seed: 9, cash_usd: 5}\n", None),
    ],
)
def test_lists_names_sections_and_switches_compare_as_declared(text: str, looser: bool | None, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    found = differences(load(tmp_path / "mine.yaml", {}).settings, accepted(load(None, {})), {})
    assert {difference.looser for difference in found} == ({looser} if looser is not None else set())


def test_renamed_settings_of_a_plug_in_are_a_difference(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("strategies: {mine: {a.b: 1}}\n")
    before = accepted(load(mine, {}))
    mine.write_text("strategies: {mine: {a: {b: 1}}}\n")
    assert [row.name for row in differences(load(mine, {}).settings, before, {})] == ["strategies.mine.a.b"] * 2


def test_entries_are_closed_and_exits_continue_without_an_approval() -> None:
    at = desk(permission=permission_of(told(None)))
    assert permission_to_enter(at).reason is Reason.CONFIG_NOT_ACCEPTED
    assert permission(at).passed


def test_books_that_cannot_be_read_are_not_called_books_without_an_approval() -> None:
    inputs = replace(told(None), books_unread="The ledger is damaged: page 5.")
    at = desk(permission=permission_of(inputs))
    assert permission_to_enter(at).reason is Reason.BOOKS_UNREADABLE
    assert permission(at).passed
    assert [gate for _, gate in at.permission.closed_to_entries(at.now)] == ["The ledger is damaged: page 5"]


def test_bot_accepted_in_shadow_sends_nothing_once_shadow_is_gone() -> None:
    found = differences(BASE, Baseline(effective(BASE.model_copy(update={"shadow": True})), "ann/1", AT), {})
    lifted = permission_of(told(found))
    assert [reason for reason, _ in lifted.closed] == [Reason.SHADOW_LIFTED]
    assert not permission(desk(permission=lifted)).passed
    assert permission_of(told(tuple(replace(row, looser=False) for row in found))).open


def test_closed_door_names_the_first_differences_and_counts_the_rest() -> None:
    rows = tuple(Difference(f"sectors.S{n}", "a", "b" * 200, "environment", looser=True) for n in range(40))
    ((_, words),) = permission_of(told(rows)).entries_closed
    assert words.endswith("; and 35 more")
    assert len(words) < 1000
