"""A policy that a walk put into shadow: what counts for it, what a person has to accept, and what its file may hold."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from commands.promote import by_results
from commands.promote.run import gather_evidence
from commands.trade_once.run import refuse_changed_code
from tests.adapters.plugins.test_plugin import SURROUNDINGS
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.bot.learning import AT, LearningBot
from tests.kit.bot.state import accept
from tests.kit.core.scene import Scene
from tests.kit.values import fill, there
from tradebot.adapters import failpoint
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.plugins.plugin import PluginStrategy
from tradebot.adapters.plugins.protocol import GROUP
from tradebot.adapters.state.state_folder import LEARNED
from tradebot.app.baseline import _is_in_shadow
from tradebot.app.loading import Options, load_to_leave
from tradebot.app.wiring import App, open_app
from tradebot.errors import ExitCode, OperatorError
from tradebot.lab.performance.of_strategy import OwnResults
from tradebot.model.bar import Session
from tradebot.model.promotion import MeanInterval, Promotion, Rung
from tradebot.model.reasons import Reason
from tradebot.model.trading import Baseline, TradingState, TradingStateRecord
from tradebot.ports.strategy import Strategy

DAYS = [date(2026, 9, 2) + timedelta(days=number) for number in range(60)]
BETTER, WORSE = ({day: sign * (0.004 + 0.001 * (day.day % 5)) for day in DAYS} for sign in (1, -1))
UNTIL: Mapping[str, Any] = {"shadow": "until_promoted"}
BY_ITSELF: Mapping[str, Any] = {**UNTIL, "by_itself": "paper"}
Make = Callable[..., LearningBot]


@pytest.fixture
def make(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make a bot whose sessions are known, with results of each session since a time."""

    def sessions(*_: object) -> Sequence[Session]:
        return [Session(day, opens := datetime(day.year, day.month, day.day, 14, tzinfo=UTC), opens) for day in DAYS]

    def made(trained: date, returns: Mapping[date, float] = BETTER, **rules: object) -> LearningBot:
        def results(history: object, known: object, of: str, since: datetime, share: object) -> OwnResults:
            return OwnResults({day: each for day, each in returns.items() if day >= since.date()}, (), 0.0)

        monkeypatch.setattr("commands.promote.run.own_results", results)
        monkeypatch.setattr("commands.promote.run.sessions_of", sessions)
        return LearningBot(tmp_path, capsys, trained, **rules)

    return made


def shown(bot: Bot) -> tuple[int, str]:
    (row,) = [row for row in bot.json("promote", "policy")["sources"] if row["traded"] == "shadow"]
    return row["sessions"], row["why_not"]


def test_sessions_that_training_saw_never_count(make: Make) -> None:
    bot = make(DAYS[19])
    # One session after training is left out too, as between training and evaluation.
    assert shown(bot) == (39, "")
    bot.put(models=[bot.write_model(DAYS[-1])])
    bot.follow()
    assert shown(bot) == (0, f"its models were trained on sessions up to {DAYS[-1]}")
    assert bot.says("promote", "policy", "--to", "shadow").code == ExitCode.REFUSED


def test_only_what_a_person_accepted_trades_if_the_file_is_edited(make: Make) -> None:
    bot = make(DAYS[0])
    bot.configure("shadow: true", "shadow: false")
    names = [f"strategies.policy.{name}" for name in ("mode", "models", "shadow")]
    assert sorted(bot.in_force()["blocked"]) == names


@pytest.mark.parametrize("line", ["  shadow: false", "  allotment_fraction: 0.5", "  limits: {max_open_positions: 9}"])
def test_only_what_a_walk_writes_may_be_in_its_file(make: Make, line: str) -> None:
    bot = make(DAYS[0])
    file = bot.folder / LEARNED
    file.write_text(file.read_text() + line + "\n")
    refuses(bot.says("promote"), ExitCode.USAGE, "which only your own configuration may set", "the next walk")
    with open_app(Options(str(bot.folder)), {}, loads=load_to_leave) as app:
        assert app.settings.strategies.in_use()["policy"]["models"] == [], "exits go on by what was accepted"
    file.write_text(file.read_text().replace(line, "").replace("inference", "rule"))
    refuses(bot.says("promote"), ExitCode.USAGE, "has mode, which only your own configuration may set", "the next walk")


def test_kill_while_models_are_replaced_leaves_the_former_ones_in_use(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = make(DAYS[0])
    before, other = bot.in_force(), bot.write_model(DAYS[1])

    def kill(point: str) -> None:
        if point == "state_folder.replace.before":
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoint, "hook", kill)
    with pytest.raises(KeyboardInterrupt):
        bot.put(models=[other])
    monkeypatch.setattr(failpoint, "hook", None)
    assert bot.in_force() == before
    bot.put(models=[other])
    assert bot.in_force() == {**before, "models": [other]}


def test_policy_in_shadow_until_promoted_trades_with_no_other_models_than_those_that_were_promoted(make: Make) -> None:
    bot = make(DAYS[0], **UNTIL)
    first = {"mode": "inference", "models": [bot.model], **UNTIL}
    assert bot.in_force() == {**first, "blocked": ["NOT_PROMOTED"]}
    bot.does("promote policy --to shadow")
    assert bot.in_force() == {**first, "blocked": ["NOT_PROMOTED"]}
    bot.does("promote policy --to paper")
    assert bot.in_force() == {**first, "blocked": []}
    other = bot.write_model(DAYS[1])
    bot.put(models=[other])
    assert bot.in_force() == {**first, "models": [other], "blocked": ["PROMOTION_LAPSED"]}
    bot.put(models=[bot.model])
    bot.does("promote policy --to shadow")
    assert bot.in_force() == {**first, "blocked": ["DEMOTED"]}
    bot.configure("shadow: until_promoted", "shadow: true")
    assert bot.in_force() == {**first, "shadow": True, "blocked": []}, "true is tighter"
    bot.configure("shadow: true", "shadow: false")
    assert "strategies.policy.shadow" in bot.in_force()["blocked"]


def test_nothing_is_promoted_by_itself_without_the_word_of_a_person(make: Make) -> None:
    bot = make(DAYS[0], **UNTIL)
    refuses(bot.says("promote", "--by-itself"), ExitCode.REFUSED, "promotion.by_itself is null", "tradebot promote")
    bot.configure("promotion:\n", "promotion:\n  by_itself: paper\n")
    refuses(bot.says("promote", "--by-itself"), ExitCode.REFUSED, "promotion.by_itself", "tradebot config diff")
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        accepted = there(ledger.baselines.last())
        earlier = {name: value for name, value in accepted.values["promotion"].items() if name != "by_itself"}
        ledger.baselines.approve(Baseline({**accepted.values, "promotion": earlier}, "test", AT))
    assert "promotion.by_itself" in bot.in_force()["blocked"], "an earlier release hadn't that setting"
    assert bot.rungs() == []


def test_policy_is_promoted_by_itself_and_not_again_once_it_or_its_model_was_demoted(make: Make) -> None:
    bot = make(DAYS[0], **BY_ITSELF)
    assert "policy is promoted to paper" in bot.says("promote", "--by-itself").out
    assert (bot.in_force()["blocked"], bot.rungs()) == ([], [Rung.SHADOW, Rung.PAPER])
    bot.does("promote policy --to shadow", "promote --by-itself")
    assert bot.rungs()[2:] == [Rung.SHADOW]
    # The same model with another evaluation has another hash.
    bot.put(evaluation=str(bot.folder / "later.json"))
    bot.follow()
    bot.does("promote --by-itself")
    assert bot.rungs()[2:] == [Rung.SHADOW]
    bot.put(models=[bot.write_model(DAYS[1])], evaluation=None)
    bot.follow()
    bot.does("promote --by-itself")
    assert bot.rungs()[2:] == [Rung.SHADOW, Rung.SHADOW, Rung.PAPER]


@pytest.mark.parametrize("meanwhile", ["a person's word", "other models", "shadow again", "no longer by itself"])
def test_what_changes_while_it_is_judged_is_not_promoted_by_itself(
    make: Make, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    bot = make(DAYS[0], **BY_ITSELF)
    bot.does("promote policy --to shadow")
    judged = gather_evidence

    def changes(*arguments: Any) -> Any:
        evidence = judged(*arguments)
        monkeypatch.setattr("commands.promote.by_results.gather_evidence", judged)
        if meanwhile == "a person's word":
            bot.does("promote policy --to candidate")
        elif meanwhile == "other models":
            bot.put(models=[bot.write_model(DAYS[1])])
        elif meanwhile == "shadow again":
            bot.configure("shadow: until_promoted", "shadow: true")
        else:
            bot.configure("by_itself: paper", "by_itself: null")
        return evidence

    monkeypatch.setattr("commands.promote.by_results.gather_evidence", changes)
    said = bot.says("promote", "--by-itself")
    assert (said.code, "policy: " in said.out) == (ExitCode.FINDINGS, True), said.out
    assert Rung.PAPER not in bot.rungs()


def test_policy_on_paper_is_demoted_to_shadow_by_its_results_although_nobody_accepted_its_models(make: Make) -> None:
    bot = make(DAYS[0], WORSE, **UNTIL)
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        (row,) = bot.json("promote")["strategies"]
        based_on = MeanInterval(0.003, 0.009, 300, 0.001)
        promotion = {"strategy": "policy", "rung": Rung.PAPER, "digest": row["digest"], "who": "test", "at": AT}
        ledger.promotions.append(Promotion(**promotion, based_on=based_on))
    assert bot.in_force()["blocked"] == []
    assert "policy is demoted to shadow: the mean of the" in bot.says("demote").out
    assert (bot.in_force()["blocked"], bot.rungs()) == (["DEMOTED"], [Rung.PAPER, Rung.SHADOW])


def test_retired_policy_acts_by_its_rule_and_nothing_else_is_accepted_with_it(make: Make) -> None:
    bot = make(DAYS[0], **UNTIL)
    refuses(bot.says("retire", "policy"), ExitCode.USAGE, "Letting policy trade by its rule", "--confirm")
    bot.configure("allotment_fraction: 1", "allotment_fraction: 0.5")
    bot.configure("timetable:", "limits: {max_new_entries: 1}\ntimetable:")
    assert "From the next pass on, policy trades by its rule." in bot.says("retire", "policy", "--confirm", "SBX1").out
    blocked = ["strategies.policy.allotment_fraction"]
    assert bot.in_force() == {"mode": "rule", "models": [], "shadow": False, "blocked": blocked}
    bot.configure("limits: {max_new_entries: 1}\n", "")
    assert bot.in_force()["blocked"] == blocked, "a tighter limit wasn't accepted either"
    refuses(
        bot.says("retire", "policy", "--confirm", "SBX1"),
        ExitCode.USAGE,
        "already trades by its rule",
        "tradebot config show",
    )


@pytest.mark.parametrize("shadow", [False, "until_promoted"])
def test_kill_while_a_policy_retires_leaves_neither_its_models_nor_the_rule_to_enter(
    make: Make, monkeypatch: pytest.MonkeyPatch, shadow: object
) -> None:
    bot = make(DAYS[0], shadow=shadow)
    accept(bot.folder, AT)

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for step, mode in (("set_values", "training"), ("store_accepted", "rule")):
        with monkeypatch.context() as killing:
            killing.setattr(f"commands.promote.retiring.{step}", kill)
            assert bot.says("retire", "policy", "--confirm", "SBX1").code != ExitCode.DONE
        assert (bot.in_force()["mode"], bool(bot.in_force()["blocked"])) == (mode, True)
    bot.does("retire policy --confirm SBX1")
    assert bot.in_force() == {"mode": "rule", "models": [], "shadow": False, "blocked": []}


def test_environment_that_sets_a_policy_keeps_it_from_retiring(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bot = make(DAYS[0], **UNTIL)
    before = (bot.folder / "tradebot.yaml").read_text()
    monkeypatch.setenv("TRADEBOT_STRATEGIES__POLICY__MODE", "inference")
    refused = bot.says("retire", "policy", "--confirm", "SBX1")
    refuses(refused, ExitCode.REFUSED, "TRADEBOT_STRATEGIES__POLICY__MODE", "nothing was changed", "tradebot retire")
    assert (bot.folder / "tradebot.yaml").read_text() == before


@pytest.mark.parametrize(
    ("accepted", "now", "looser"),
    [
        (False, "until_promoted", False),
        (None, "until_promoted", False),
        (True, "until_promoted", True),
        ("until_promoted", True, False),
        (None, True, False),
        ("until_promoted", False, True),
    ],
)
def test_shadow_until_promoted_is_tighter_than_none_and_looser_than_always(
    make: Make, accepted: object, now: object, looser: bool
) -> None:
    bot = make(DAYS[0], shadow=now)
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        values = there(ledger.baselines.last()).values
        section = {**values["strategies"]["policy"], "shadow": accepted}
        section = {key: value for key, value in section.items() if (key, value) != ("shadow", None)}
        ledger.baselines.approve(Baseline({**values, "strategies": {"flow": None, "policy": section}}, "test", AT))
    assert ("strategies.policy.shadow" in bot.in_force()["blocked"]) == looser


def test_other_words_for_shadow_are_refused_with_those_that_it_has(make: Make) -> None:
    bot = make(DAYS[0], **UNTIL)
    bot.configure("shadow: until_promoted", "shadow: maybe")
    refuses(bot.says("config", "check"), ExitCode.USAGE, "must be true, false or 'until_promoted', not 'maybe'")


def test_nothing_is_promoted_by_itself_while_anything_differs_from_what_was_accepted(make: Make) -> None:
    bot = make(DAYS[0], shadow=False, by_itself="paper")
    bot.configure("shadow: false", "shadow: until_promoted")
    assert bot.in_force()["blocked"] == ["NOT_PROMOTED"], "nothing is looser"
    refuses(bot.says("promote", "--by-itself"), ExitCode.REFUSED, "strategies.policy.shadow isn't as accepted")
    assert bot.rungs() == []


def test_demotion_right_before_a_policy_is_judged_counts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bot = make(DAYS[0], **BY_ITSELF)
    bot.does("promote policy --to shadow")
    asked = by_results._was_demoted

    def demoted_after(*arguments: Any) -> bool:
        answer = asked(*arguments)
        monkeypatch.setattr(by_results, "_was_demoted", asked)
        bot.does("promote policy --to candidate")
        return answer

    monkeypatch.setattr(by_results, "_was_demoted", demoted_after)
    assert bot.says("promote", "--by-itself").code == ExitCode.FINDINGS
    assert bot.rungs() == [Rung.SHADOW, Rung.CANDIDATE]


def test_promotion_that_lapsed_is_taken_back_and_does_not_return_with_its_values(make: Make) -> None:
    bot = make(DAYS[0], **UNTIL)
    bot.does("promote policy --to shadow")
    bot.does("promote policy --to paper")
    bot.put(models=[bot.write_model(DAYS[1])])
    assert bot.in_force()["blocked"] == ["PROMOTION_LAPSED"]
    bot.does("promote policy --to candidate")
    bot.put(models=[bot.model])
    assert (bot.in_force()["blocked"], bot.rungs()[-1]) == (["DEMOTED"], Rung.CANDIDATE)
    assert bot.says("promote", "policy", "--to", "candidate").code == ExitCode.USAGE


def test_step_down_that_waits_for_the_lock_does_not_override_a_demotion(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = make(DAYS[0], **UNTIL)
    bot.does("promote policy --to shadow")
    bot.does("promote policy --to paper")
    lock = App.pass_lock

    def demoted_before(app: App, *arguments: Any) -> Any:
        monkeypatch.setattr(App, "pass_lock", lock)
        bot.does("promote policy --to candidate")
        return lock(app, *arguments)

    monkeypatch.setattr(App, "pass_lock", demoted_before)
    refuses(bot.says("promote", "policy", "--to", "shadow"), ExitCode.REFUSED, "changed while it was judged")
    assert bot.rungs()[-1] is Rung.CANDIDATE


def test_sessions_before_it_traded_do_not_count_as_its_own(make: Make) -> None:
    bot = make(DAYS[0], **UNTIL)
    for line in ("promote policy --to shadow", "promote policy"):
        bot.says(*line.split())
        (own,) = [row for row in bot.json("promote", "policy")["sources"] if row["traded"] == "sandbox"]
        assert (own["sessions"], own["why_not"]) == (0, "it is in shadow")


def test_real_money_needs_models_to_be_accepted_besides() -> None:
    names = {"mode": "live", "strategies.policy.shadow": "until_promoted", "strategies.policy.models": "a"}
    now = {tuple(name.split(".")): value for name, value in names.items()}
    origins = {"strategies.policy.models": LEARNED}
    assert not _is_in_shadow(("strategies", "policy", "models"), now, origins)
    assert _is_in_shadow(("strategies", "policy", "models"), {**now, ("mode",): "paper"}, origins)


def test_policy_is_retired_in_its_own_configuration_alone(make: Make) -> None:
    bot = make(DAYS[0], **UNTIL)
    other = bot.folder / "other.yaml"
    other.write_text((bot.folder / "tradebot.yaml").read_text())
    said = bot.says("retire", "policy", "--confirm", "SBX1", "--config", str(other))
    refuses(said, ExitCode.USAGE, "the bot's own configuration", "tradebot retire policy")
    assert bot.in_force() == {"mode": "inference", "models": [bot.model], **UNTIL, "blocked": ["NOT_PROMOTED"]}


def test_screens_tell_that_a_retired_policy_acts_by_its_rule(make: Make) -> None:
    bot = make(DAYS[0], **UNTIL)
    bot.does("retire policy --confirm SBX1")
    (models,) = [row for row in bot.json("health")["judgments"] if row["subject"] == "models"]
    assert models["found"] == "policy acts by its rule (MODEL_RETIRED)"
    assert bot.says("status").code != ExitCode.ERROR


def test_health_names_the_positions_that_nobody_closes_once_the_file_of_a_walk_is_gone(make: Make) -> None:
    bot = make(DAYS[0], **UNTIL)
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        ledger.apply_fills([fill(1, strategy="policy", at=AT)], AT)
    (bot.folder / LEARNED).unlink()
    (models,) = [row for row in bot.json("health")["judgments"] if row["subject"] == "models"]
    nobody = "it has no exit rules either, so only you can close AAPL: tradebot flatten"
    assert models["found"] == f"policy is set to training, and trades nothing; {nobody}"
    bot.configure("exits: []", "exits: [{stop_loss: {fraction: 0.02}}]")
    accept(bot.folder, AT)
    (models,) = [row for row in bot.json("health")["judgments"] if row["subject"] == "models"]
    assert models["found"] == "policy is set to training, and trades nothing"


def test_status_names_what_may_not_enter_before_its_promotion(make: Make) -> None:
    bot = make(DAYS[0], **UNTIL)
    bot.does("promote policy --to shadow")
    told = ["policy opens no positions (NOT_PROMOTED: shadow). Next: tradebot promote policy"]
    assert bot.json("status")["not_entering"] == told
    bot.does("promote policy --to paper")
    assert "not_entering" not in bot.json("status")


def test_model_that_was_demoted_is_not_promoted_by_itself_under_another_name(make: Make) -> None:
    bot = make(DAYS[0], **BY_ITSELF)
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        row = Promotion("other", Rung.SHADOW, "0" * 12, "test", AT, why="it lost", models=(bot.model,))
        ledger.promotions.append(row)
    bot.does("promote --by-itself")
    assert bot.rungs() == [Rung.SHADOW]


def test_code_that_cannot_be_read_is_not_promoted_and_keeps_nothing_else_from_being_judged(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = make(DAYS[0], **BY_ITSELF)
    bot.does("promote --by-itself")

    def fails(*_: object) -> str:
        raise OperatorError("a file of the strategy can't be read", "tradebot strategy list")

    monkeypatch.setattr("tradebot.app.promotion_status.code_of", fails)
    assert bot.in_force()["blocked"] == ["PROMOTION_LAPSED"], "exits read this too"
    (row,) = bot.json("promote")["strategies"]
    assert (row["rung"], row["lapsed"]) == ("candidate", True)
    said = bot.says("promote", "--by-itself")
    assert (said.code, "policy: a file of the strategy can't be read" in said.out) == (ExitCode.FINDINGS, True)


def test_results_that_cannot_be_judged_are_named(make: Make) -> None:
    bot = make(DAYS[0], WORSE, **BY_ITSELF)
    (bot.folder / "shadow" / "policy" / "tradebot.yaml").write_text("universe: [")
    said = bot.says("promote", "--by-itself")
    assert (said.code, "its record in" in said.out) == (ExitCode.FINDINGS, True), said.out
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        (row,) = bot.json("promote")["strategies"]
        ledger.promotions.append(Promotion("policy", Rung.PAPER, row["digest"], "test", AT))
    said = bot.says("demote")
    assert (said.code, "fewer than 20 sessions" in said.out) == (ExitCode.FINDINGS, True), said.out


@pytest.mark.parametrize("shadow", [True, "until_promoted"])
def test_plug_ins_run_the_code_that_promotions_belong_to(
    make: Make, monkeypatch: pytest.MonkeyPatch, shadow: object
) -> None:
    bot, ended = make(DAYS[0], shadow=shadow), list[str]()

    def note(strategies: Iterable[Strategy]) -> None:
        ended.extend(strategy.name for strategy in strategies)

    monkeypatch.setattr("tradebot.adapters.plugins.plugin.end_changed", note)
    for name in ("reader", "second_time", "_seen_bars"):
        monkeypatch.setattr(App, name, None)
    with open_app(Options(str(bot.folder)), {}) as app:
        app.world(asking=True, dry_run=True)
    assert ended == (["policy"] if shadow == "until_promoted" else [])


def test_plug_in_whose_files_changed_after_it_was_asked_enters_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = [PluginStrategy(EntryPoint(name, "odd:Odd", GROUP), {}, SURROUNDINGS) for name in ("bound", "other")]
    world, names = Scene().world(), {"bound"}
    assert refuse_changed_code(world, plugins, names) is world
    monkeypatch.setattr(PluginStrategy, "runs_other_code", lambda plugin: True)
    (name,) = (waits := refuse_changed_code(world, plugins, names).permission.awaiting_promotion)
    assert (name, waits[name].reason) == ("bound", Reason.PROMOTION_LAPSED)


def test_strategy_whose_shadow_is_halted_is_not_promoted_by_itself(make: Make) -> None:
    bot = make(DAYS[0], **BY_ITSELF)
    with closing(SqliteLedger.open(bot.folder / "shadow" / "policy")) as ledger:
        ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "tradebot", "it lost", AT))
    said = bot.says("promote", "--by-itself")
    assert (said.code, bot.rungs()) == (ExitCode.FINDINGS, [])
    assert "doesn't count: its shadow is halted. Next: tradebot unhalt" in said.out


def test_code_that_was_demoted_is_not_promoted_by_itself_under_another_name(make: Make) -> None:
    bot = make(DAYS[0], **BY_ITSELF)
    (row,) = bot.json("promote")["strategies"]
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        ledger.promotions.append(Promotion("other", Rung.SHADOW, row["digest"], "test", AT, why="it lost"))
    bot.does("promote --by-itself")
    assert bot.rungs() == [Rung.SHADOW]
