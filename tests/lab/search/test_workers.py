"""How many workers fit; `tests/commands/search` kills and stops them."""

from unittest.mock import patch

from tradebot.lab.search import workers


def test_workers_are_as_many_as_are_wanted_or_else_as_processors_trials_and_memory_allow() -> None:
    with patch("os.sched_getaffinity", return_value={*range(8)}):
        for free, wanted, trials, fit in (
            (100, None, 50, 8),
            (3, None, 50, 3),
            (100, None, 2, 2),
            (0, None, 50, 1),
            (1, 12, 2, 12),
        ):
            with patch.object(workers, "_by_memory", return_value=free):
                assert workers.fitting_workers(wanted, trials) == fit


def test_free_memory_is_measured_in_processes_like_this_one() -> None:
    assert 0 < workers._by_memory() < 100_000
