"""Passes beside the slots: a venue that tells of something makes exits run sooner."""

from jobs.runner import Done, LogKind
from tests.jobs.test_runner import Bench
from tradebot.errors import ExitCode, TemporaryError
from tradebot.model.record import Job


def test_passes_beside_the_slots_are_apart_and_limited_and_cost_a_slot_nothing() -> None:
    bench = Bench()
    bench.runner.begin()
    ran, exits = list[int](), lambda: Done("again", ExitCode.DONE)
    for second in range(120, 1320):
        bench.tick(second / 60)
        if bench.runner.run_again(Job.EVALUATE_EXITS, exits):
            ran.append(second - 120)
    assert ran == [*range(0, 50, 5), *range(600, 650, 5)]
    slots = [line.slot for line in bench.lines if line.job is Job.EVALUATE_EXITS and line.said != "again"]
    assert slots == ["open+2m", "open+7m", "open+12m", "open+17m"], "a slot was run twice, or not at all"


def test_a_pass_beside_the_slots_that_fails_is_told_and_a_clock_set_back_delays_none() -> None:
    bench = Bench(retry_s=15)
    bench.runner.begin()
    bench.tick(10)

    def fails() -> Done:
        raise TemporaryError("away")

    assert bench.runner.run_again(Job.EVALUATE_EXITS, fails)
    assert (bench.lines[-1].kind, bench.lines[-1].said) == (LogKind.FAILED, "away")
    bench.tick(5)
    assert bench.runner.run_again(Job.EVALUATE_EXITS, lambda: Done("again", ExitCode.DONE))
    bench.runner.stopping = True
    bench.tick(9)
    assert not bench.runner.run_again(Job.EVALUATE_EXITS, fails)
