"""The configuration: layers and where each value came from, and each way to get it wrong said plainly."""

import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import HALTS, OPTIONS, exit_rules, limits
from tradebot.app.keys import Secrets, load_gates, load_secrets
from tradebot.app.rules import rules_of
from tradebot.app.settings import Loaded, Settings, load, shipped_path
from tradebot.app.settings_checks import find_ineffective
from tradebot.errors import ExitCode, OperatorError
from tradebot.gates.coherence import Trader, contradictions, exit_contradictions, self_halting_scenarios
from tradebot.model.costs import CostModel
from tradebot.model.record import Job
from tradebot.model.sentences import SYMBOL_PATTERN
from tradebot.model.trading import Mode
from tradebot.strategies.flow_settings import FlowSettings
from tradebot.strategies.settings import CORE_KEYS, StrategySettings


def D(text: str) -> Decimal:  # noqa: N802 - a table of figures reads better so
    return Decimal(text)


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def loaded(path: Path, text: str | bytes, **environ: str) -> Loaded:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path, environ)


def refused(path: Path, text: str | bytes) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        loaded(path, text)
    return caught.value


def test_later_layers_win_and_each_value_names_its_source(user_file: Path) -> None:
    user_file.write_text("limits:\n  max_open_positions: 8\n  max_new_entries: 2\n")
    environ = {"TRADEBOT_LIMITS__MAX_OPEN_POSITIONS": "7", "TRADING_MODE": "paper"}
    found = load(user_file, environ, {"exits": {"time_exit_s": 600}})
    assert (found.settings.limits.max_open_positions, found.settings.limits.max_new_entries) == (7, 2)
    assert found.settings.exits.time_exit_s == 600
    assert {
        name: found.origins[name]
        for name in ("limits.max_open_positions", "limits.max_new_entries", "limits.min_score", "alpaca.feed")
    } == {
        "limits.max_open_positions": "environment: TRADEBOT_LIMITS__MAX_OPEN_POSITIONS",
        "limits.max_new_entries": str(user_file),
        "limits.min_score": "base.yaml",
        "alpaca.feed": "paper.yaml",
    }
    assert found.origins["exits.time_exit_s"] == "flag"


def test_environment_sets_names_with_a_dash_lists_and_booleans() -> None:
    environ = {
        "TRADEBOT_TIMETABLE__TRADE_ONCE": "every 10m  from open+2m until close-15m",
        "TRADEBOT_UNIVERSE": "[AAPL, NO]",
        "TRADEBOT_STRATEGIES__FLOW__LONG_ONLY": "true",
        "TRADEBOT_STATE": "elsewhere",
    }
    settings = load(None, environ).settings
    assert str(settings.timetable[Job.TRADE_ONCE]) == "every 10m from open+2m until close-15m"
    assert (settings.universe, settings.strategies.in_use()["flow"]["long_only"]) == (["AAPL", "NO"], True)


UNREADABLE = [
    ("limits:\n  cooldown_s: 1\n  cooldown_s: 2\n", "line 3, column 3: 'cooldown_s' is set twice"),
    ("a: &x {b: 1}\nc: *x\n", "line 2, column 4: aliases are not read"),
    ("mode: !!python/object/apply:os.getcwd []\n", "line 1, column 7: tags are not read"),
    ("- mode\n", "the file is a list, not NAME: VALUE lines"),
    ("paper\n", "the file is a single value, not NAME: VALUE lines"),
    ("1: paper\n", "line 1, column 1: the name 1 is not text"),
    ("limits: [1\n", "line 2, column 1: a list isn't closed: expected ',' or ']'"),
    ("mode: paper\n---\nmode: live\n", "line 2, column 1"),
    ("universe: " + "[" * 5000, "column 30: more than 20 levels are not read"),
    ("universe: [" + "A, " * 20_000 + "B]", "more than 20000 values are not read"),
    ("limits: {cooldown_s: " + "9" * 5000 + "}", "digits"),
]


@pytest.mark.parametrize(("text", "said"), UNREADABLE, ids=lambda part: str(part)[:24])
def test_unreadable_file_is_named_with_its_line_and_a_remedy(user_file: Path, text: str | bytes, said: str) -> None:
    error = refused(user_file, text)
    assert str(user_file) in error.message
    assert said in error.message
    assert error.hint
    assert error.code is ExitCode.USAGE


def test_missing_file_or_a_folder_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(OperatorError, match=str(path)) as caught:
            load(path, {})
        assert caught.value.hint == "check the path and its permissions"


BAD_VALUES = [
    ("limits: {max_open_position: 3}", "limits.max_open_position", "did you mean max_open_positions?"),
    ("limit: {}", "limit", "did you mean limits?"),
    ("limits: {stop_loss_fraction: 0.1}", "limits.stop_loss_fraction", "stop_loss_fraction belongs under exits"),
    ("edge: 1", "edge", "edge belongs under sandbox"),
    (
        "strategies: {mine: {exits: [{time_exit: {after_s: 60}}, {stop_los: {fraction: 0.02}}]}}",
        "strategies.mine.exits",
        "rule 2: there is no exit rule 'stop_los'; did you mean stop_loss?",
    ),
    (
        "strategies: {flow: {exits: [{stop_loss: {fraction: 2}}]}}",
        "strategies.flow.exits",
        "stop_loss.fraction: must be less than or equal to 1, not 2",
    ),
    ("exits: {limits: {}}", "exits.limits", "limits belongs at the top level"),
    ("timetable: {trade-once: {every_s: 60}}", "timetable.trade-once", "'every 5m from open+2m until close-15m'"),
    ("timetable: {trade-onse: every 5m}", "timetable.trade-onse", "'trade-once'"),
    ("timetable: {score: every now and then}", "timetable.score", "'every now and then' is not a time"),
    ("limits: {max_order_fraction: 0}", "limits.max_order_fraction", "greater than 0"),
    ("limits: {min_score: .nan}", "limits.min_score", "must be a number, not"),
    ("limits: {max_order_fraction: NaN}", "limits.max_order_fraction", "finite number"),
    ("limits: {max_open_positions: true}", "limits.max_open_positions", "must be a number or a word"),
    ("limits: {max_open_positions: few}", "limits.max_open_positions", "must be a whole number, not"),
    ("strategies: {flow: {min_clustr: 1}}", "strategies.flow.min_clustr", "did you mean min_cluster?"),
    ("strategies: {mine: 3}", "strategies.mine", "must be a section with its own KEY: VALUE lines"),
    ("plugins: {timeout_s: 0}", "plugins.timeout_s", "greater than 0"),
    ("universe: []", "universe", "must not be empty"),
    ("universe: [aapl]", "universe.0", "must be a symbol in capital letters"),
    ("alpaca: {url: ftp://example.test}", "alpaca.url", "must be an http or https address"),
    ("sandbox: {start: tomorrow}", "sandbox.start", "must be a date, such as"),
    ("sandbox: {source: kraken}", "sandbox.source", "'generated', 'csv', 'parquet' or 'daily'"),
    ("timetable: {score: every 90s}", "timetable.score", "a multiple of 60s"),
    ("limits: 3", "limits", "must be a section"),
    ("strategies: {flow: {min_cluster: 1.5}}", "strategies.flow.min_cluster", "must be a whole number, not 1.5"),
    ("strategies: {flow: {long_only: maybe}}", "strategies.flow.long_only", "must be true or false, not 'maybe'"),
    ("sectors: {aapl: tech}", "sectors.aapl", "must be a symbol in capital letters"),
    ("serve: {grace_s: 0}", "serve.grace_s", "greater than or equal to 1"),
    ("strategies: {mine: {limits: {max_gros: 1}}}", "strategies.mine.limits.max_gros", "there is no such setting"),
    ("strategies: {flow: {limits: {exit_life_s: 1}}}", "strategies.flow.limits.exit_life_s", "belongs under limits"),
    ("strategies: {mine: {limits: {min_score: 2}}}", "strategies.mine.limits.min_score", "less than or equal to 1"),
    ("strategies: {mine: {allotment_fraction: 0}}", "strategies.mine.allotment_fraction", "greater than 0"),
    ("strategies: {mine: {universe: []}}", "strategies.mine.universe", "must not be empty"),
    ("strategies: {mine: {times: 5}}", "strategies.mine.times", "must be"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name", "said"), BAD_VALUES, ids=[row[0] for row in BAD_VALUES])
def test_bad_value_is_named_with_its_file_and_expected_form(user_file: Path, text: str, name: str, said: str) -> None:
    error = refused(user_file, text)
    line = next(line for line in error.message.splitlines() if line.startswith(f"{name} "))
    assert f"({user_file})" in line
    assert said in line
    assert error.hint
    assert not re.search("Input should|valid dictionary|unable to|String should|pattern|Decimal", error.message)


def test_variable_that_sets_a_section_to_a_value_is_refused() -> None:
    environ = {"TRADEBOT_LIMITS": "5", "TRADEBOT_LIMITS__COOLDOWN_S": "60"}
    with pytest.raises(OperatorError, match="TRADEBOT_LIMITS") as caught:
        load(None, environ)
    assert caught.value.hint == "unset TRADEBOT_LIMITS"


def test_unknown_setting_in_the_environment_is_refused_with_a_suggestion() -> None:
    with pytest.raises(
        OperatorError,
        match=r"limits\.max_open_position \(environment: TRADEBOT_LIMITS__MAX_OPEN_POSITION\).*did you mean",
    ):
        load(None, {"TRADEBOT_LIMITS__MAX_OPEN_POSITION": "3"})


MANY = "[" + ", ".join(f"A{first}{second}" for first in "BCDEFGHIJKLM" for second in "ABCDEFGHIJKLMNOPQRSTUVWXY") + "]"
"""A universe of 300 symbols."""
COSTS = "costs: {taker_bps: 5, maker_bps: 2, slippage_bps: 2, funding_day_bps: 10, hold_s: null}"
SCENARIOS = [
    ("limits: {max_order_fraction: 0.3}", "would always be refused by max_symbol_fraction"),
    ("limits: {max_symbol_fraction: 0.5}", "would always be refused by max_sector_fraction"),
    ("limits: {max_sector_fraction: 0.7}", "would always be refused by max_gross_fraction"),
    (
        "limits: {max_risk_fraction: 0.01, max_open_risk_fraction: 0.009}",
        "max_open_risk_fraction 0.009: an order that passes max_risk_fraction would always be refused",
    ),
    ("limits: {shock_wait_s: 1800}", "so nothing would ever make entries wait"),
    (
        "limits: {min_edge_ratio: 6}",
        "min_edge_ratio is 6, but no trading costs are assumed (costs is null): every entry would be refused",
    ),
    (
        f"limits: {{max_cost_fraction: 0.0013}}\n{COSTS}",
        "alone are 0.0014, more than max_cost_fraction 0.0013: every entry would be refused",
    ),
    (
        f"limits: {{max_cost_fraction: 0.0025, max_funding_fraction: 0.0026}}\n{COSTS}",
        "max_funding_fraction 0.0026 is above max_cost_fraction 0.0025, which counts funding too",
    ),
    (
        "halts: {positions: 20}",
        "max_open_positions 20 is not below halts.positions 20: a book within that limit could halt",
    ),
    (
        "halts: {symbol_fraction: 0.2}",
        "max_symbol_fraction 0.20 is not below halts.symbol_fraction 0.2: a book within that limit",
    ),
    ("limits: {max_new_entries: 21}", "one pass could never open as many as it is allowed to"),
    ("limits: {max_new_entries: 6}", "would stop a bot that sends as many as max_new_entries allows"),
    ("limits: {max_orders_per_minute: 101}", "max_session_entries 100: max_session_entries would stop a bot"),
    ("limits: {max_symbol_entries: 101}", "no symbol could ever reach its own limit"),
    ("halts: {daily_loss_fraction: 0.035}", "a full book could halt the bot"),
    ("halts: {drawdown_fraction: 0.04}", "such a day would cause the drawdown halt, which doesn't end with the day"),
    ("halts: {rejects: 6}", "less than or equal to 5"),
    ("promotion: {live: {sessions: 249}}", "promotion.live.sessions 249 requires less than the rung below it"),
    ("promotion: {live: {effect: null}}", "promotion.live.effect null requires less than the rung below it"),
    (
        "promotion: {shadow: {sessions: 59, mean_above: 0}}",
        "promotion.shadow.mean_above needs sessions to be at least 60, not 59",
    ),
    ("promotion: {live: {traded: []}}", "promotion.live.traded"),
    ("promotion: {error: 0.3}", "promotion.error"),
    ("promotion: {live: {policy: {seeds: 4}}}", "promotion.live.policy.seeds 4 requires less than the rung below it"),
    ("promotion: {splits: {test_months: 2}}", "step_months 1 is below test_months 2: a session would be judged twice"),
    ("promotion: {splits: {groups: 3, judged: 3}}", "judged 3 is not below groups 3: none is left to train on"),
    ("promotion: {splits: {embargo_sessions: 0}}", "promotion.splits.embargo_sessions"),
    ("limits: {min_order_notional_usd: 10000}", "every order would be too small or too large"),
    ("limits: {max_daily_loss_fraction: 0.015}", "a full book could block entries"),
    (
        "strategies: {flow: {exits: [{stop_loss: {fraction: 0.05}}]}}",
        "max_spread_fraction 0.005 + limit_offset_fraction 0.005) loses 0.036 of equity, not less than max_daily_loss",
    ),
    ("exits: {trailing_arm_fraction: 0.03}", "the trailing stop could never act"),
    ("limits: {max_spread_fraction: 0.009}", "loses 0.0204 of equity, not less than max_daily_loss_fraction 0.02"),
    ("strategies: {flow: {times: at noon}}", "strategies.flow.times: 'at noon' is not a time; use 'every 5m'"),
    ("strategies: {flow: {times: every 1m}}", "the slot open+3m would end before any pass of entries begins"),
    (
        "strategies: {flow: {weights: {greek_exposure: 0.3, iv_rank: 0.2}}}",
        "add up to 0.5, more than flow's own 0.4 (greek_exposure, iv_rank): they could turn bullish flow",
    ),
    ("strategies: {flow: {filters: {issue_types: [Stonk]}}}", "'Stonk'"),
    ("unusual_whales: {poll_s: {nothing: 10}}", "there is no kind of flow facts 'nothing'; there are "),
    ("universe: null", "must be a list, such as [AAPL, MSFT], not null"),
    (
        "strategies: {flow: {min_families: 9}}",
        "no entry could ever be made; lower it, or give other components a weight",
    ),
    (
        "strategies: {flow: {min_alert_premium_usd: 1}}",
        "there is no such setting any more; write strategies.flow.filters.min_premium, in USD as before",
    ),
    ("strategies: {flow: {filters: {min_premiun: 1}}}", "there is no such setting; did you mean min_premium?"),
    ("timetable: {evaluate-exits: at close-1m}", "leaves 23220 s without an exit check"),
    ("timetable: {evaluate-exits: every 5m from open+18m}", "leaves 960 s without an exit check"),
    (
        "strategies: {flow: {exits: [{stop_loss: {fraction: 0.02}}, {end_of_day: {before_close_s: 1080}}]}}",
        "strategies.flow.exits: end_of_day.before_close_s 1080 is not below the 1080 s between the last entries and",
    ),
    (
        "timetable: {evaluate-exits: every 1m from open+1m until close-10m}\n"
        "strategies: {flow: {exits: [{stop_loss: {fraction: 0.02}}, {end_of_day: {before_close_s: 600}}]}}",
        "before_close_s 600 is shorter than the 660 s between the last exit check and the close, so the rule"
        " never acts",
    ),
    ("limits: {max_flow_age_s: 300}", "would be blocked before each renewal"),
    ("limits: {max_reconcile_age_s: 900}", "would be blocked before each renewal"),
    ("unusual_whales: {poll_s: {flow_alerts: 900}}", "stale before it is fetched again"),
    (
        f"mode: paper\nuniverse: {MANY}\nunusual_whales: {{daily_calls: 10000}}",
        "universe has 300 symbols, too many for a flow source that allows 120 calls a minute and 10,000 a day",
    ),
    (
        f"mode: paper\nuniverse: {MANY}\nunusual_whales: {{calls_per_minute: 30}}",
        "they would get older than limits.max_flow_age_s 900; 173 symbols would fit",
    ),
    ("mode: paper\nunusual_whales: {daily_calls: 700}", "universe has 20 symbols, too many for a flow source"),
    ("mode: paper\nunusual_whales: {daily_calls: 1000, reserve_fraction: 0.3}", "17 symbols would fit"),
    ("news: {source: ibkr}", "news.source: there is no source of news 'ibkr'"),
    ("universe: [AAPL, AAPL]", "universe lists AAPL twice: it"),
    ("strategies: {flow: {universe: [AAPL, AAPL]}}", "strategies.flow.universe lists AAPL twice"),
    ("strategies: {mine: {universe: [AAPL, ZZZZ]}}", "strategies.mine.universe has ZZZZ, and universe doesn't"),
    (
        "strategies: {flow: {allotment_fraction: 0.7}, mine: {allotment_fraction: 0.4}}",
        "allotment_fraction adds up to 1.1 (flow 0.7, mine 0.4), more than 1",
    ),
    ("strategies: {flow: {allotment_fraction: 1}, mine: {}}", "so nothing is left for mine"),
    (
        "strategies: {mine: {limits: {max_gross_fraction: 0.05, max_sector_fraction: 0.30}}}",
        "strategies.mine.limits: max_sector_fraction 0.30 is above max_gross_fraction 0.05",
    ),
    (
        "limits: {max_gross_fraction: 0.7}\nstrategies: {flow: {allotment_fraction: 0.1}, mine: {}}",
        "a full book (mine: max_gross_fraction 0.7 of allotment_fraction 0.9) whose stops are all hit "
        "(stop_loss_fraction 0.02 + max_spread_fraction 0.005 + limit_offset_fraction 0.005) "
        "together lose 0.0207 of equity, not less than max_daily_loss_fraction 0.02",
    ),
    (
        "strategies: {flow: {limits: {max_daily_loss_fraction: 0.018}}}",
        "loses 0.018 of its allotment, not less than its max_daily_loss_fraction 0.018",
    ),
    ("strategies: {flow: {limits: {max_flow_age_s: 300}}}", "would be blocked before each renewal"),
    ("strategies: {flow: null}", "all strategies are off"),
    (
        "strategies: {mine: {}}\nplugins: {timeout_s: 60}",
        "1 plug-in may take 60 s to answer, but limits.max_candidate_age_s is 60",
    ),
    ("strategies: {mine: {}, other: {}}\nplugins: {timeout_s: 30}", "2 plug-ins may take 60 s to answer"),
    ("strategies: {Mine: {}}", "strategies.Mine: a name has at most 20 lowercase letters"),
]


def test_strategys_costs_are_its_own_or_the_accounts(user_file: Path) -> None:
    assert loaded(user_file, "{}").settings.costs_of("flow") is None
    limited = f"limits: {{max_cost_fraction: 0.0014}}\n{COSTS}"
    account = loaded(user_file, limited).settings
    assert account.costs_of("flow") == account.costs_of() == CostModel(D("5"), D("2"), D("2"), D("10"))
    own = loaded(user_file, f"{limited}\nstrategies: {{flow: {{{COSTS.replace('taker_bps: 5', 'taker_bps: 4')}}}}}")
    assert own.settings.costs_of("flow") == CostModel(D("4"), D("2"), D("2"), D("10"))


@pytest.mark.parametrize(("text", "scenario"), SCENARIOS, ids=[row[0][-60:] for row in SCENARIOS])
def test_contradicting_limits_are_refused_with_a_scenario(user_file: Path, text: str, scenario: str) -> None:
    assert scenario in refused(user_file, text).message


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("strategies: {flow: {filters: {is_call: true, is_put: true}}}", "is_call and is_put; set one of them to null"),
        ("strategies: {flow: {weights: {flwo: 1}}}", "there is no component 'flwo'; did you mean flow?"),
    ],
)
def test_error_that_explains_itself_does_not_repeat_the_value(user_file: Path, text: str, ends: str) -> None:
    assert refused(user_file, text).message.endswith(ends)


def test_flow_source_on_this_machine_has_no_call_limit(user_file: Path) -> None:
    url = "unusual_whales: {url: http://127.0.0.1:9, daily_calls: 1}"
    for mode in (Mode.SANDBOX, Mode.PAPER):
        assert len(loaded(user_file, f"mode: {mode}\nuniverse: {MANY}\n{url}\n").settings.universe) == 300


fractions = st.decimals("0.001", 1, places=3)


@given(
    ladder=st.lists(fractions, min_size=4, max_size=4),
    loss=fractions,
    stop=fractions,
    spread=fractions,
    arm=fractions,
    target=fractions,
    counts=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    notionals=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
)
def test_settings_load_exactly_if_every_relation_holds(
    ladder: list[Decimal], loss: Decimal, stop: Decimal, spread: Decimal, arm: Decimal, target: Decimal,
    counts: tuple[int, int], notionals: tuple[int, int],
) -> None:  # fmt: skip
    order, symbol, sector, gross = ladder
    rules = limits(
        max_order_fraction=order, max_symbol_fraction=symbol, max_sector_fraction=sector,
        max_gross_fraction=gross, max_daily_loss_fraction=loss, max_new_entries=counts[0],
        max_open_positions=counts[1], max_spread_fraction=spread,
        min_order_notional_usd=notionals[0], max_order_notional_usd=notionals[1],
    )  # fmt: skip
    exits = exit_rules(stop_loss_fraction=stop, trailing_arm_fraction=arm, profit_target_fraction=target)
    holds = (
        order <= symbol <= sector <= gross
        and counts[0] <= min(counts[1], rules.max_orders_per_second)
        and notionals[0] < notionals[1]
        and gross * (max(stop, rules.limit_offset_fraction) + spread + exits.limit_offset_fraction) < loss
        and arm < target
    )
    alone = Trader("flow", Decimal(1), rules, stop, exits.limit_offset_fraction)
    own_loss = [text for text in self_halting_scenarios((alone,), rules, HALTS) if text.endswith("could block entries")]
    assert (not [*contradictions(rules), *exit_contradictions(exits), *own_loss]) == holds


TWO = "strategies: {flow: {allotment_fraction: 0.25}, mine: {limits: {min_score: 0.9}, depth: 7}, other: {}}\n"


def test_strategy_does_not_get_the_keys_that_the_core_reads(user_file: Path) -> None:
    text = "strategies: {mine: {universe: [AAPL], times: every 5m, exits: [], limits: {min_score: 0.5}, depth: 7}}"
    strategies = loaded(user_file, text).settings.strategies
    assert strategies.in_use()["mine"] == {"depth": 7}
    assert not set(strategies.in_use()["flow"]) & CORE_KEYS
    assert FlowSettings.model_validate(strategies.in_use()["flow"])


def test_strategies_without_an_allotment_share_the_rest_equally(user_file: Path) -> None:
    assert load(None, {}).settings.strategies.allotments() == {"flow": 1}
    settings = loaded(user_file, TWO).settings
    assert settings.strategies.allotments() == {"flow": D("0.25"), "mine": D("0.375"), "other": D("0.375")}
    rules = rules_of(settings, settings.exits)
    assert rules.of("mine").limits == settings.limits.model_copy(update={"min_score": 0.9})
    assert (rules.of("other").limits, rules.of("nobody").limits) == (settings.limits, settings.limits)
    assert (rules.of("mine").allotment_fraction, rules.of("nobody").allotment_fraction) == (D("0.375"), D("1"))
    assert rules.tightest == settings.tightest_limits
    assert (rules.tightest.min_score, rules.tightest.min_coverage) == (0.9, 0.6)


@given(shares=st.lists(st.one_of(st.none(), st.decimals("0.01", 1, places=2)), min_size=1, max_size=6))
def test_loaded_allotments_never_exceed_the_account(shares: list[Decimal | None]) -> None:
    sections = {f"s{number}": {"allotment_fraction": share} for number, share in enumerate(shares)}
    strategies = StrategySettings.model_validate({"flow": None, **sections})
    refused = [text for text in strategies.contradictions([]) if "allotment" in text]
    total = sum(strategies.allotments().values(), Decimal(0))
    fixed = [share for share in shares if share is not None]
    assert bool(refused) == (sum(fixed) > 1 or (sum(fixed) == 1 and len(fixed) < len(shares)))
    if not refused:
        assert total <= D("1.000000000000000000001")
        assert all(share > 0 for share in strategies.allotments().values())


def test_flow_strategy_alone_has_the_limits_of_the_account() -> None:
    told = load(None, {}).settings.limits_of("flow").model_dump(mode="json")
    expected = {
        "max_open_positions": 10, "max_new_entries": 3, "max_session_entries": 30, "max_symbol_entries": 4,
        "max_orders_per_second": 5, "max_orders_per_minute": 20, "duplicate_window_s": 60,
        "max_order_fraction": "0.05", "max_order_notional_usd": "10000", "min_order_notional_usd": "100",
        "max_symbol_fraction": "0.10", "max_sector_fraction": "0.30", "max_gross_fraction": "0.60",
        "max_daily_loss_fraction": "0.02", "target_tolerance_fraction": "0.01", "cooldown_s": 1800,
        "price_collar_fraction": "0.10",
        "price_jump_fraction": "0.05", "limit_offset_fraction": "0.002", "max_spread_fraction": "0.005",
        "max_quote_age_s": 120, "max_clock_skew_s": 5, "max_clock_disagreement_s": 60, "max_flow_age_s": 900,
        "max_candidate_age_s": 60, "max_decision_s": 120, "max_reconcile_age_s": 2700, "max_foreign_share": "0.20",
        "min_score": 0.2, "min_coverage": 0.6, "entry_life_s": 600, "exit_life_s": 180, "liquid_hours_only": False,
        **dict.fromkeys(OPTIONS),
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected


def test_strategy_without_stops_may_hold_more_than_the_equity() -> None:
    settings = load(shipped_path("profiles") / "rotation.yaml", {}).settings
    assert set(settings.strategies.sections()) == {"rotation"}
    rotation = settings.limits_of("rotation")
    assert min(rotation.max_order_fraction, rotation.max_symbol_fraction, rotation.max_sector_fraction) > D("1.25")
    assert {*settings.universe} <= set(settings.sectors)
    assert len(settings.universe) == 12
    assert settings.halts.drawdown_fraction > D("0.2905"), "it fell by as much in one year of twenty"


@pytest.mark.parametrize(
    ("profile", "listed"),
    [
        ("intraday", ["stop_loss", "trailing_stop", "profit_target", "time_exit", "end_of_day"]),
        (
            "overnight",
            [
                "drawdown",
                "scale_out",
                "stale",
                "open_interest_gone",
                "signal_decay",
                "flow_reversal",
                "regime",
                "urgency",
            ],
        ),
    ],
)
def test_flow_profile_changes_only_the_exits(profile: str, listed: list[str]) -> None:
    settings, base = load(shipped_path("profiles") / f"{profile}.yaml", {}).settings, load(None, {}).settings
    exits = settings.strategies.sections()["flow"].exits or []
    assert [name for rule in exits for name in rule] == listed
    assert settings.model_dump(exclude={"strategies"}) == base.model_dump(exclude={"strategies"})
    assert settings.limits_of("flow") == base.limits_of("flow")


def test_own_limit_looser_than_the_accounts_is_reported_and_has_no_effect(user_file: Path) -> None:
    settings = loaded(user_file, "strategies: {flow: {limits: {cooldown_s: 5, max_open_positions: 20}}}").settings
    assert settings.limits_of("flow").cooldown_s == 60
    assert list(find_ineffective(settings)) == [
        "strategies.flow.limits.cooldown_s 5 has no effect, because limits.cooldown_s 60 is tighter"
    ]


def env_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / ".env"
    path.write_text(text)
    path.chmod(mode)
    return path


SECRET_ALIASES = {
    "ALPACA_KEY": "ALPACA_SECRET",
    "ALPACA_API_KEY": "ALPACA_SECRET_KEY",
    "APCA_API_KEY_ID": "APCA_API_SECRET_KEY",
}


@pytest.mark.parametrize(
    ("environ", "file", "key"),
    [
        ({"ALPACA_KEY": '  "abc"\n'}, "", "abc"),
        ({"ALPACA_API_KEY": "' abc '"}, "", "abc"),
        ({"APCA_API_KEY_ID": "abc"}, "", "abc"),
        ({"ALPACA_KEY": " '' ", "ALPACA_API_KEY": "second", "APCA_API_KEY_ID": "third"}, "", "second"),
        ({"ALPACA_KEY": "typed"}, "ALPACA_KEY=filed\n", "typed"),
        ({"APCA_API_KEY_ID": "typed"}, "ALPACA_KEY=filed\n", "typed"),
        ({}, "ALPACA_KEY='from $HOME file'\n", "from $HOME file"),
        ({}, "", None),
    ],
)
def test_key_is_the_first_alias_with_a_value_and_the_environment_precedes_the_file(
    tmp_path: Path, environ: dict[str, str], file: str, key: str | None
) -> None:
    absent = tmp_path / "absent.env"
    assert load_secrets(environ, env_file(tmp_path, file), "alpaca").venue.get("alpaca_key") == key
    assert load_secrets(environ, absent, "alpaca").venue.get("alpaca_key") == (None if file and not environ else key)
    of_secret = {SECRET_ALIASES[name]: text for name, text in environ.items()}
    assert load_secrets(of_secret, absent, "alpaca").venue.get("alpaca_secret") == (key if environ else None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_env_file_open_to_other_users_is_refused(tmp_path: Path, mode: int) -> None:
    path = env_file(tmp_path, "UW_API_KEY=x\n", mode)
    with pytest.raises(OperatorError, match="accessible to other users") as caught:
        load_secrets({}, path, "alpaca")
    assert caught.value.hint == f"chmod 600 {path}"


def test_env_file_behind_a_link_is_checked_at_its_target(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    path, link = env_file(tmp_path / "keys", "UW_API_KEY=linked\n", 0o644), tmp_path / ".env"
    link.symlink_to(path)
    with pytest.raises(OperatorError, match="accessible to other users"):
        load_secrets({}, link, "alpaca")
    path.chmod(0o600)
    assert load_secrets({}, link, "alpaca").uw_key == "linked"
    path.unlink()
    with pytest.raises(OperatorError, match="No such file") as caught:
        load_secrets({}, link, "alpaca")
    assert caught.value.hint.startswith(f"ls -l {link}")


@pytest.mark.parametrize("what", ["folder", "loop", "device", "endless"])
def test_env_file_that_is_no_regular_small_file_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / ".env"
    if what == "folder":
        path.mkdir(0o700)
    elif what == "endless":
        env_file(tmp_path, "A=" + "x" * 70_000)
    else:
        path.symlink_to({"loop": path, "device": Path("/dev/null")}[what])
    with pytest.raises(OperatorError, match=str(path)):
        load_secrets({}, path, "alpaca")
    with pytest.raises(OperatorError, match=str(path)):
        load_gates({}, path)


def test_env_file_is_read_literally_without_expansion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "filled")
    path = env_file(tmp_path, "export UW_API_KEY='${OTHER}$(id)`id`'\nALPACA_KEY=${OTHER}\n")
    secrets = load_secrets({}, path, "alpaca")
    assert (secrets.uw_key, secrets.venue["alpaca_key"]) == ("${OTHER}$(id)`id`", "${OTHER}")
    assert "UW_API_KEY" not in os.environ, "what was read is handed to nobody"


def test_env_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = env_file(tmp_path, "")
    path.write_bytes(b"UW_API_KEY=\xff\xfe\n")
    with pytest.raises(OperatorError, match="not UTF-8 text"):
        load_secrets({}, path, "alpaca")


def test_repr_of_secrets_shows_no_value() -> None:
    secrets = Secrets("xyz", {"alpaca_key": "abc"}, {"marketaux": "abc"})
    for text in (repr(secrets), str(secrets), f"{secrets}", repr([secrets])):
        assert "abc" not in text
        assert "xyz" not in text
    assert repr(secrets) == "Secrets(set: alpaca_key, marketaux, uw_key)"


def test_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(OperatorError, match="a user name or password") as caught:
        load(None, {"TRADEBOT_ALPACA__URL": "https://ann:pass-w0rd@api.alpaca.markets"})
    assert "pass-w0rd" not in caught.value.message + caught.value.hint


def test_settings_hold_no_secret() -> None:
    names = {name.lower() for name in Settings.model_fields}
    assert not any("key" in name or "secret" in name for name in names)


def test_permission_gates_are_read_exactly_as_written_environment_first(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("ALLOW_ORDERS=false\nDRY_RUN=false\nTRADEBOT_LIVE=5678\nOTHER=1\n")
    file.chmod(0o600)
    outside = {"ALLOW_ORDERS": "true ", "ENABLE_ORDER_EXEC": "", "UNRELATED": "x"}
    said = {"ALLOW_ORDERS": "true ", "ENABLE_ORDER_EXEC": ""}
    assert load_gates(outside, file) == {**said, "DRY_RUN": "false", "TRADEBOT_LIVE": "5678"}
    assert load_gates(outside, None) == said
    file.chmod(0o644)
    with pytest.raises(OperatorError, match="is accessible to other users"):
        load_gates(outside, file)


def test_mode_in_the_file_is_kept_apart_from_the_mode_in_force(tmp_path: Path) -> None:
    silent, speaking = tmp_path / "silent.yaml", tmp_path / "speaking.yaml"
    silent.write_text("shadow: false\n")
    speaking.write_text("mode: Live\n")
    flags = {"mode": "live"}
    assert [load(file, {}, flags).file_mode for file in (None, silent, speaking)] == ["", "", "live"]
    assert load(None, {"TRADEBOT_LIVE": "5678"}).settings.mode is Mode.SANDBOX, "a name that is no setting"


@pytest.mark.parametrize(
    ("symbol", "fits"), [("AAPL", True), ("BRK.B", True), ("6EZ6", True), ("6E", True), ("66", False), ("66E", False)]
)
def test_a_symbol_may_have_one_digit_before_its_first_letter(symbol: str, fits: bool) -> None:
    assert bool(re.match(SYMBOL_PATTERN, symbol)) is fits


@pytest.mark.parametrize(
    ("text", "flags", "hint"),
    [
        ("mode: sandbox", {"venue": "kraken"}, "another value for the option"),
        ("mode: sandbox", {"sandbox": {"sessions": 0}}, "another value for the option"),
        ("venue: kraken", {}, "correct it where it is set"),
        ("limits: {min_score: 2}", {"sandbox": {"sessions": 0}}, "correct it where it is set"),
    ],
)
def test_hint_for_a_wrong_value_fits_its_place(user_file: Path, text: str, flags: dict[str, object], hint: str) -> None:
    user_file.write_text(text)
    with pytest.raises(OperatorError) as caught:
        load(user_file, {}, flags)
    assert hint in caught.value.hint
