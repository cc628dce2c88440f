"""A bot of futures that is killed, loses its power, or is kept from rolling: it ends what it began, and holds nothing.

Each campaign is a program, which prints how to play a life of it again.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from commands.trade_once import run as trade_once
from exchange.tests.kit.cable import lay_cable
from tests.faults.bracketed import PASSES, broken, held_by
from tests.faults.pit_process import CHANGE, MESSAGE
from tests.faults.programs import played
from tests.kit.bot.futures import INDEXES, INTO, LEFT, SIZE, Pit
from tests.kit.bot.near import compares, exits
from tests.suite.tiers import drawn
from tradebot.app.wiring import App

SEEDS = drawn("lives in the pit", [], range(1, 100_000))
KILLED, POWERED, CARRIED = 8, 6, 4
KILL_CONTROLS, POWER_CONTROLS = ("promised-late",), ("journal-not-synced", "synchronous-off")
BY_VOLUME = INDEXES._replace(
    universe="MES",
    start=date(2026, 11, 30),
    opens_at=datetime(2026, 12, 1, 20, 0, tzinfo=UTC),
    rolls_at=datetime(2026, 12, 2, 19, 1, tzinfo=UTC),
    # On Monday and Tuesday more of March's contract is traded. By date, December's is left six days later.
    moves_on="2026-12-04",
    seed=18,
    strategies={"flow": None, "futures": {"min_mean_vote": 0.99, "allotment_fraction": 0.1}},
)
"""The contract in force is chosen by strategies' passes, so there is one. It never has so clear a vote."""


def held(problems: list[str], *controls: str) -> list[str]:
    """Return what was broken though nobody had broken it on purpose; each control must have been seen."""
    culprit = {problem: problem.partition(":")[0] for problem in problems}
    assert set(culprit.values()) >= set(controls), "what is broken on purpose was not seen"
    return [problem for problem in problems if culprit[problem] not in controls]


def words(*controls: str) -> list[str]:
    return [word for control in controls for word in ("--control", control)]


@pytest.mark.campaign
@pytest.mark.parametrize("seed", SEEDS)
def test_process_of_a_bot_of_futures_that_is_killed_at_any_moment_ends_what_it_began_once(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    asked = ("kills", "--seed", str(seed), "--count", str(KILLED), *words(*KILL_CONTROLS))
    found = played("pit_lives", *asked)
    assert held(found["problems"], *KILL_CONTROLS) == []
    assert found["deaths"] >= 5 * KILLED
    assert {MESSAGE, CHANGE} <= set(found["hit"])
    record_property("processes of a bot of futures that were killed", found["deaths"])


@pytest.mark.campaign
@pytest.mark.parametrize("seed", SEEDS)
def test_bot_of_futures_that_loses_its_power_has_whole_books_and_settles_what_it_promised(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    asked = ("power", "--seed", str(seed), "--count", str(POWERED), *words(*POWER_CONTROLS))
    found = played("pit_lives", *asked)
    assert held(found["problems"], *POWER_CONTROLS) == []
    assert found["deaths"] >= 5 * POWERED
    assert found["unsafe"] > found["deaths"], "hardly anything was at stake"
    record_property("losses of power of a bot of futures", found["deaths"])


@pytest.mark.campaign
@pytest.mark.parametrize("seed", SEEDS)
def test_position_that_is_kept_from_rolling_is_held_into_no_notice_or_last_trade_that_could_be_avoided(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    found = played("carried", "--seed", str(seed), "--count", str(CARRIED), "--controls")
    assert found["problems"] == []
    # A bot that comes back on Thanksgiving rolls in its hour, short session or not; what has ended is gone.
    assert found["flat"]["holiday"].startswith("2026-11-26 17:")
    assert found["flat"]["ended"].startswith("2026-12-18 14:30")
    record_property("positions that were kept from rolling", sum(found["befell"].values()))


@pytest.mark.campaign
def test_position_rolls_by_volume_days_before_its_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def proposes(app: App) -> int:
        return int(trade_once.run(app, by="campaign").exit_code)

    day = Pit(tmp_path, lay_cable(monkeypatch.setattr), BY_VOLUME).holds()
    # The session of Wednesday has begun, and volume has chosen March. What is held waits for its hour.
    day.tick(to="2026-12-01T23:30:00Z")
    assert day.passes(compares, proposes, exits) == [0, 0, 0]
    assert held_by(day.events())[LEFT] == SIZE
    day.tick(to=BY_VOLUME.rolls_at.isoformat())
    # On another day, the venue has forgotten the entry. Its stop is still known to be ours.
    assert day.passes(compares, exits, compares, proposes) == [0, 0, 0, 0]
    day.tick(seconds=122)
    day.passes(exits, compares)
    assert [*broken(day, PASSES["leaves"], completes=True)] == []
    assert held_by(day.events()) == {LEFT: 0, INTO: SIZE}
    (chosen,) = [line for line in (day.folder / "system_events.jsonl").read_text().splitlines() if '"chosen"' in line]
    assert '"by":"volume"' in chosen
    assert INTO in chosen
