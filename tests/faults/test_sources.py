"""Whatever source is behind, empty or repeats itself: no lot is without a stop for longer than told."""

from collections.abc import Callable

import pytest

from tests.faults.programs import played
from tests.faults.sources import (
    BELIEVED,
    BESIDE,
    CANCELED,
    CASES,
    CLOSING,
    ENTERING,
    LATE,
    MISSING,
    OLD,
    Case,
    believe_lists,
    play,
)
from tests.kit.venues import ALPACA, BRACKETS, ELSEWHERE, KRAKEN, CampaignVenue

SAMPLE = (
    Case("activities", MISSING, ENTERING),
    Case("positions", OLD, ENTERING),
    Case("order", LATE, CANCELED),
    Case("orders", LATE, CANCELED),
    Case("activities", MISSING, CLOSING),
    Case("activities", MISSING, ENTERING, BESIDE[0][2]),
)


def test_a_sample_of_sources_that_are_wrong_leaves_nothing_bare_untold_and_a_bot_that_believes_them_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {one.case: one for one in play(SAMPLE)}
    assert {case.name: one.problems for case, one in found.items() if one.problems} == {}
    assert [case for case, one in found.items() if one.bare_s > 200] == []
    for module, names in BELIEVED.items():
        for name in names:
            monkeypatch.setitem(vars(module), name, vars(module)[name])
    believe_lists()
    assert {one.case for one in play(SAMPLE[:1] + SAMPLE[2:3]) if one.problems} == {SAMPLE[0], SAMPLE[2]}


def test_a_close_is_left_in_the_group_of_its_stop_by_a_list_older_than_the_answer_that_put_it_there() -> None:
    (found,) = play([Case("orders", LATE, CLOSING, BESIDE[1][2])])
    assert (found.problems, found.told_s, found.bare_s) == ((), 0, 60)


@pytest.mark.campaign(proof=True)
@pytest.mark.parametrize("venue", [ALPACA, KRAKEN, ELSEWHERE, BRACKETS], ids=lambda venue: venue.name)
def test_every_source_that_is_wrong_leaves_nothing_bare_untold(
    venue: CampaignVenue, record_property: Callable[[str, object], None]
) -> None:
    told = played("sources", venue=venue)
    assert told["wrong"] == {}
    assert told["cases"] >= 0.9 * len(CASES)
    assert played("sources", "--control", "activities", MISSING, ENTERING, venue=venue)["wrong"]
    record_property("cases of sources that were wrong", told["cases"])


@pytest.mark.campaign(proof=True)
def test_every_source_of_futures_that_is_wrong_leaves_nothing_bare_untold(
    record_property: Callable[[str, object], None],
) -> None:
    told = played("pit_sources")
    assert told["wrong"] == {}
    record_property("cases of sources of futures that were wrong", told["cases"])
