"""The agenda tells what is coming in the order in which it runs."""

from hypothesis import given
from hypothesis import strategies as st

from papervenue.engine.engine_state import Agenda


@given(st.lists(st.integers(0, 20)))
def test_what_is_upcoming_is_what_runs_then(times: list[int]) -> None:
    ran: list[int] = []
    agenda = Agenda()
    agenda.learn(note=lambda floor, number: ran.append(number))
    for number, at_us in enumerate(times):
        agenda.note(at_us, "note", number)
    upcoming = list(agenda.upcoming())
    assert upcoming == list(agenda.upcoming()), "a look changes nothing"
    agenda.do_until(max(times, default=0), None)
    assert [about[0] for _, _, about in upcoming] == ran
