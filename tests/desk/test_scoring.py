"""A pass that only scores."""

from tests.worlds import Scene, call, wanted
from tradebot.desk.proposals import score
from tradebot.model.record import Job


def test_a_score_pass_records_the_candidates_and_buys_nothing() -> None:
    scene = Scene()
    record = score(scene.world(wanted("AAPL"), wanted("JPM", 0.1)), call(Job.SCORE), scene.venue.clock())
    assert scene.facts.cycles(job=Job.SCORE) == (record,)
    assert len(record.candidates) == 2
    assert scene.venue.submitted == []
