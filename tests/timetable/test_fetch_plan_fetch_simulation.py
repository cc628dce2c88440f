"""A session of fetching on paper: calls fit between slots, and ages are what a clock would say."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import USUAL, VENUE_DAY
from tradebot.model.fact_kind import Phase, ReplyScope
from tradebot.timetable.fetch_plan import FetchNeed, FetchSimulation, SimulatedSlot, fetch_count, slots_of
from tradebot.timetable.job_times import parse

TIMES = parse("every 5m from open+2m until close", VENUE_DAY)
SLOTS = slots_of(TIMES, USUAL)


def need(name: str, calls: int, interval_s: int, *, core: bool = False, phase: Phase = Phase.ALWAYS) -> FetchNeed:
    return FetchNeed(name, ReplyScope.SYMBOL, calls, interval_s, core, None, phase)


def every(*needs: FetchNeed) -> dict[str, int]:
    return {each.name: each.every_s(each.interval_s) for each in needs}


class Told(FetchSimulation):
    """A course that remembers which calls each slot made, by kind."""

    def __init__(self, needs: list[FetchNeed], slots: Sequence[SimulatedSlot], per_minute: float | None) -> None:
        self.fetches: list[dict[str, int]] = []
        super().__init__(needs, every(*needs), slots, per_minute, {})

    def fetch(self, slot: SimulatedSlot, first_s: float) -> None:
        before = dict(self.calls)
        super().fetch(slot, first_s)
        self.fetches.append({name: made for name, count in self.calls.items() if (made := count - before[name])})


def test_the_slots_of_a_session_end_where_the_next_begins() -> None:
    assert (SLOTS[0], SLOTS[-1], len(SLOTS)) == ((120, 300), (23_220, 180), 78)
    assert [slot.start_s for slot in slots_of(TIMES, USUAL, 500)][:2] == [420, 720]


def test_the_first_fetch_asks_for_everything_and_the_next_for_what_is_due() -> None:
    often, seldom = need("often", 20, 240, core=True), need("seldom", 20, 540, core=True)
    found = Told([often, seldom], SLOTS, 100)
    assert found.fetches[:3] == [{"often": 20, "seldom": 20}, {"often": 20}, {"often": 20, "seldom": 20}]
    assert found.calls == {"often": 20 * 78, "seldom": 20 * 39}
    # The last symbol of twenty arrives twelve seconds after its fetch began; of forty, twenty-four.
    assert found.age_s == {"often": 312.0, "seldom": 624.0}
    assert found.complete_s == {"often": 12.0, "seldom": 24.0}


def test_kinds_that_do_not_fit_between_two_slots_wait_and_core_kinds_go_first() -> None:
    rest, core = need("rest", 700, 86_400), need("core", 400, 240, core=True)
    found = Told([core, rest], SLOTS, 100)
    assert found.fetches[:3] == [{"core": 400, "rest": 100}, {"core": 400, "rest": 100}, {"core": 400, "rest": 100}]
    assert found.complete_s["rest"] == 6 * 300 + 300
    assert FetchSimulation([core, rest], every(core, rest), SLOTS[:6], 100, {}).complete_s["rest"] is None


def test_a_kind_that_waits_gets_older_and_costs_no_call() -> None:
    # Eight hundred calls every five minutes are more than the five hundred that fit.
    much = need("much", 800, 240)
    found = FetchSimulation([much], every(much), SLOTS, 100, {})
    assert found.age_s["much"] > 600
    assert sum(found.calls.values()) == 77 * 500 + 300


def test_a_kind_that_is_worth_one_call_is_asked_once_and_not_again_if_it_was() -> None:
    morning = need("morning", 5, 86_400, phase=Phase.MORNING)
    assert FetchSimulation([morning], every(morning), SLOTS, None, {}).calls == {"morning": 5}
    assert FetchSimulation([morning], every(morning), SLOTS, None, {"morning": 0.0}).calls == {"morning": 0}
    assert fetch_count(SLOTS, morning.every_s(86_400), -inf) == 1
    # Whoever configures a shorter interval gets it.
    often = need("morning", 5, 540, phase=Phase.MORNING)
    assert FetchSimulation([often], every(often), SLOTS, None, {}).calls == {"morning": 5 * 39}


@given(
    st.lists(st.tuples(st.integers(0, 900), st.sampled_from([60, 240, 540, 3600, 86_400]), st.booleans()), max_size=6),
    st.sampled_from([None, 10.0, 75.0, 100.0]),
)
def test_no_fetch_runs_into_the_next_and_none_asks_more_often_than_its_interval(
    kinds: list[tuple[int, int, bool]], per_minute: float | None
) -> None:
    needs = [need(f"kind {place}", calls, s, core=core) for place, (calls, s, core) in enumerate(kinds)]
    found = Told(needs, SLOTS, per_minute)
    for slot, made in zip(SLOTS, found.fetches, strict=True):
        assert per_minute is None or sum(made.values()) * 60 / per_minute <= slot.length_s
    for each in needs:
        assert found.calls[each.name] <= each.calls * fetch_count(SLOTS, each.interval_s, -inf)


@given(st.integers(1, 400), st.sampled_from([60, 240, 540, 3600]))
def test_without_a_limit_everything_is_renewed_when_it_is_due(calls: int, interval_s: int) -> None:
    one = need("one", calls, interval_s)
    found = Told([one], SLOTS, None)
    assert found.calls["one"] == calls * fetch_count(SLOTS, interval_s, -inf)
    starts = [slot.start_s for slot, made in zip(SLOTS, found.fetches, strict=True) if made]
    assert found.age_s["one"] == max(later - start for start, later in pairwise(starts))
