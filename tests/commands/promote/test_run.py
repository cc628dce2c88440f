"""A policy that a walk put into shadow: what counts for it, who moves it on, and what puts it back or replaces it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.bot.learning import AT, LearningBot
from tests.kit.bot.state import accept
from tests.kit.values import there
from tradebot.adapters import failpoint
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import LEARNED
from tradebot.errors import ExitCode
from tradebot.lab.performance.of_strategy import OwnResults
from tradebot.model.bar import Session
from tradebot.model.promotion import MeanInterval, Promotion, Rung
from tradebot.model.trading import Baseline

DAYS = [date(2026, 9, 2) + timedelta(days=number) for number in range(60)]
BETTER, WORSE = ({day: sign * (0.004 + 0.001 * (day.day % 5)) for day in DAYS} for sign in (1, -1))
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


def test_policy_in_shadow_blocks_no_entry_and_trades_once_a_person_promotes_it_to_paper(make: Make) -> None:
    bot = make(DAYS[0])
    in_shadow = {"mode": "inference", "models": [bot.model], "shadow": True, "blocked": []}
    assert bot.in_force() == in_shadow
    bot.does("promote policy --to shadow")
    assert bot.in_force() == in_shadow
    bot.does("promote policy --to paper")
    assert bot.in_force() == {**in_shadow, "shadow": False}
    bot.does("promote policy --to shadow")
    assert (bot.in_force(), bot.rungs()) == (in_shadow, [Rung.SHADOW, Rung.PAPER, Rung.SHADOW])


def test_only_what_a_person_accepted_trades_if_the_file_is_edited(make: Make) -> None:
    bot = make(DAYS[0])
    file = bot.folder / LEARNED
    file.write_text(file.read_text() + "  shadow: false\n")
    names = [f"strategies.policy.{name}" for name in ("mode", "models", "shadow")]
    assert sorted(bot.in_force()["blocked"]) == names


def test_policy_is_promoted_by_itself_only_where_that_is_configured_and_not_again_once_demoted(make: Make) -> None:
    bot = make(DAYS[0])
    refuses(bot.says("promote", "--by-itself"), ExitCode.REFUSED, "promotion.by_itself is null", "tradebot promote")
    file = bot.folder / "tradebot.yaml"
    file.write_text(file.read_text().replace("promotion:\n", "promotion:\n  by_itself: paper\n"))
    assert bot.in_force()["blocked"] == ["promotion.by_itself"]
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        accepted = there(ledger.baselines.last())
        earlier = {name: value for name, value in accepted.values["promotion"].items() if name != "by_itself"}
        ledger.baselines.approve(Baseline({**accepted.values, "promotion": earlier}, "test", AT))
    assert bot.in_force()["blocked"] == ["promotion.by_itself"], "an earlier release hadn't that setting"
    accept(bot.folder)
    bot.follow()
    assert "policy is now paper" in bot.says("promote", "--by-itself").out
    assert (bot.in_force()["shadow"], bot.rungs()) == (False, [Rung.SHADOW, Rung.PAPER])
    bot.does("promote policy --to shadow", "promote --by-itself")
    assert bot.rungs() == [Rung.SHADOW, Rung.PAPER, Rung.SHADOW]


def test_policy_on_paper_is_demoted_to_shadow_by_its_results(make: Make) -> None:
    bot = make(DAYS[0], WORSE)
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        bot.put(shadow=False)
        accept(bot.folder, AT)
        (row,) = bot.json("promote")["strategies"]
        based_on = MeanInterval(0.003, 0.009, 300, 0.001)
        promotion = {"strategy": "policy", "rung": Rung.PAPER, "digest": row["digest"], "who": "test", "at": AT}
        ledger.promotions.append(Promotion(**promotion, based_on=based_on))
    assert "policy is demoted to shadow: the mean of the" in bot.says("demote").out
    assert (bot.in_force()["shadow"], bot.rungs()) == (True, [Rung.PAPER, Rung.SHADOW])


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
