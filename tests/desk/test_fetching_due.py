"""What a fetch asks: what is due in its phase, core kinds first, and no more than fits before the next slot."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from tests.kit.core.scene import NAMES, Scene
from tests.kit.values import DAY, NOW, SESSION
from tradebot.app.null_ports import NoFlow
from tradebot.desk.fetching import FetchAgenda, agenda, fetch_all_at_once
from tradebot.model.fact_kind import AnyKind, Phase
from tradebot.model.flow import Allowance, Intake
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World
from tradebot.signals.kinds import kind_of

ALERTS, PRINTS, TIDE, RANK = map(kind_of, ("flow_alerts", "dark_pool", "market_tide", "iv_rank"))
SLOT = SESSION.open + timedelta(minutes=2)
TIMES = "every 5m from open+2m until close"


class FetchingDay:
    def __init__(self, *kinds: AnyKind, allowance: Allowance | None = None, names: Sequence[str] = NAMES) -> None:
        self.scene = Scene()
        self.scene.facts.__init__()  # type: ignore[misc]
        rules = replace(self.scene.world().rules, poll_s={}, fetch_times=TIMES, allowance=allowance)
        self.world: World = replace(self.scene.world(), rules=rules, needed_facts=dict.fromkeys(kinds, tuple(names)))

    def asked(self, now: datetime) -> FetchAgenda:
        requests = [
            (kind, name) for kind, names in self.world.needed_facts.items()
            for name in ((None,) if kind.market_wide else names)
        ]  # fmt: skip
        return agenda(self.world, DAY, now, requests)

    def fetched(self, at: datetime, *requests: tuple[AnyKind, str | None]) -> None:
        for kind, name in requests:
            self.scene.facts.store(Intake(kind.name, name, at, 0, (), 0, 0, ()))


def names(found: FetchAgenda) -> list[tuple[str, str | None]]:
    return [(kind.name, symbol) for kind, symbol in found.due]


def test_core_kinds_come_first_and_then_what_was_asked_longest_ago() -> None:
    day = FetchingDay(TIDE, RANK, PRINTS, ALERTS, names=("AAPL", "MSFT"))
    assert [kind for kind, _ in names(day.asked(SLOT))] == [
        "dark_pool", "dark_pool", "flow_alerts", "flow_alerts", "market_tide", "iv_rank", "iv_rank",
    ]  # fmt: skip
    day.fetched(SLOT, (ALERTS, "AAPL"), (TIDE, None))
    day.fetched(SLOT - timedelta(days=1), (ALERTS, "MSFT"), (RANK, "AAPL"))
    assert names(day.asked(SLOT + timedelta(minutes=5))) == [
        ("dark_pool", "AAPL"), ("dark_pool", "MSFT"), ("flow_alerts", "MSFT"), ("flow_alerts", "AAPL"),
        ("iv_rank", "MSFT"), ("iv_rank", "AAPL"), ("market_tide", None),
    ]  # fmt: skip


def test_a_person_who_wants_everything_gets_core_kinds_first() -> None:
    requests = [(RANK, "AAPL"), (ALERTS, "AAPL"), (TIDE, None), (PRINTS, "AAPL")]
    assert [kind for kind, _ in fetch_all_at_once(requests).due] == [ALERTS, PRINTS, RANK, TIDE]


def test_no_more_is_asked_than_fits_before_the_next_slot_and_the_rest_follows() -> None:
    day = FetchingDay(RANK, ALERTS, allowance=Allowance(2, 1_000_000))
    # Two calls a minute, of which we make ten in six minutes: eight in the five minutes until the next slot.
    first = day.asked(SLOT)
    assert (len(first.due), first.later, first.waiting) == (8, 0, 0)
    assert (len(day.asked(SLOT + timedelta(minutes=2)).due), day.asked(SLOT + timedelta(minutes=2)).later) == (5, 3)
    day.fetched(SLOT, *first.due[:5])
    after = day.asked(SLOT + timedelta(minutes=2))
    assert (after.due, after.waiting, after.later) == (first.due[5:], 5, 0)


def test_a_kind_that_the_plan_leaves_out_is_named_and_not_asked() -> None:
    small = FetchingDay(RANK, PRINTS, ALERTS, allowance=Allowance(120, 4 * 39))
    found = small.asked(SLOT)
    assert {kind for kind, _ in names(found)} == {"flow_alerts"}
    assert found.left_out == ("iv_rank", "dark_pool")
    assert found.waiting == 8
    assert (
        small.asked(SLOT).left_out
        == FetchingDay(RANK, PRINTS, ALERTS, allowance=Allowance(120, 4 * 39)).asked(SLOT).left_out
    )


def test_a_bot_of_which_no_strategy_reads_facts_plans_no_calls_and_asks_no_source() -> None:
    day = FetchingDay(allowance=Allowance(120, 15_000))
    day.world = replace(day.world, flow=NoFlow())
    assert day.asked(SLOT) == FetchAgenda((), 0, 0, ())


def test_calls_that_another_program_made_are_missing_for_the_rest_of_the_day() -> None:
    day = FetchingDay(RANK, PRINTS, ALERTS, allowance=Allowance(120, 15_000))
    day.fetched(SLOT, *((kind, name) for kind in (RANK, PRINTS, ALERTS) for name in NAMES))
    later = SLOT + timedelta(minutes=10)
    assert {kind for kind, _ in names(day.asked(later))} == {"flow_alerts", "dark_pool"}
    day.scene.flow.left = 4 * 38 + 3
    assert {kind for kind, _ in names(day.asked(later))} == {"flow_alerts"}
    day.scene.flow.left = 0
    assert day.asked(later).due == ()


CLOSED = SESSION.open - timedelta(hours=8)


@pytest.mark.parametrize(
    ("phase", "last", "now", "due"),
    [
        (Phase.ALWAYS, None, CLOSED, True),
        (Phase.ALWAYS, SLOT, SLOT + timedelta(minutes=9), True),
        (Phase.ALWAYS, SESSION.close + timedelta(minutes=1), SESSION.close + timedelta(minutes=60), False),
        (Phase.ALWAYS, SESSION.close + timedelta(minutes=1), SESSION.close + timedelta(minutes=61), True),
        (Phase.ALWAYS, SESSION.open - timedelta(seconds=1), SESSION.open, True),
        (Phase.OPEN, None, SESSION.open - timedelta(seconds=1), False),
        (Phase.OPEN, None, SESSION.open, True),
        (Phase.OPEN, SLOT, SLOT + timedelta(minutes=8), False),
        (Phase.OPEN, SLOT, SLOT + timedelta(minutes=9), True),
        (Phase.OPEN, None, SESSION.close, True),
        (Phase.OPEN, SLOT, SESSION.close, True),
        (Phase.OPEN, SESSION.close, SESSION.close + timedelta(hours=2), False),
        (Phase.MORNING, None, CLOSED, True),
        (Phase.MORNING, CLOSED, SESSION.open - timedelta(minutes=61), False),
        (Phase.MORNING, CLOSED, SESSION.open - timedelta(minutes=60), True),
        (Phase.MORNING, SESSION.open - timedelta(minutes=60), SESSION.close, False),
        (Phase.EVENING, None, NOW, True),
        (Phase.EVENING, CLOSED, SESSION.close - timedelta(seconds=1), False),
        (Phase.EVENING, CLOSED, SESSION.close, True),
        (Phase.EVENING, SESSION.close, SESSION.close + timedelta(hours=5), False),
    ],
)
def test_each_kind_is_asked_in_its_phase(phase: Phase, last: datetime | None, now: datetime, due: bool) -> None:
    kind = replace(PRINTS, phase=phase, poll_s=PRINTS.poll_s if phase in (Phase.ALWAYS, Phase.OPEN) else 86_400)
    day = FetchingDay(kind, names=("AAPL",))
    if last:
        day.fetched(last, (kind, "AAPL"))
    assert bool(day.asked(now).due) is due
