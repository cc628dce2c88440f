"""A policy that a walk put into shadow: what counts for it, what a person has to accept, and what its file may hold."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.bot.learning import LearningBot
from tradebot.adapters import failpoint
from tradebot.adapters.state.state_folder import LEARNED
from tradebot.app.loading import Options, load_to_leave
from tradebot.app.wiring import open_app
from tradebot.errors import ExitCode
from tradebot.lab.performance.of_strategy import OwnResults
from tradebot.model.bar import Session

DAYS = [date(2026, 9, 2) + timedelta(days=number) for number in range(60)]
RETURNS = {day: 0.004 + 0.001 * (day.day % 5) for day in DAYS}
Make = Callable[..., LearningBot]


@pytest.fixture
def make(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make a bot whose sessions are known, with results of each session since a time."""

    def sessions(*_: object) -> Sequence[Session]:
        return [Session(day, opens := datetime(day.year, day.month, day.day, 14, tzinfo=UTC), opens) for day in DAYS]

    def made(trained: date) -> LearningBot:
        def results(history: object, known: object, of: str, since: datetime, share: object) -> OwnResults:
            return OwnResults({day: each for day, each in RETURNS.items() if day >= since.date()}, (), 0.0)

        monkeypatch.setattr("commands.promote.run.own_results", results)
        monkeypatch.setattr("commands.promote.run.sessions_of", sessions)
        return LearningBot(tmp_path, capsys, trained)

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
