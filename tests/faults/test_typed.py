"""Signals to the installed command line at moments that nobody chose: real processes, real requests."""

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.typed import broken_promises, disturbed_day, sat_down
from tests.suite.tiers import drawn

SEEDS = drawn("typed", [1], range(1, 1_000))
ROUNDS, KILLS = 5, 8
"""How often the other signals come, and how many kills follow each time."""
KINDS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP]
ENDS = {0, 3, 6, 10, 130, 143, *(-kind for kind in (*KINDS, signal.SIGKILL))}
"""Done, refused, another at work, findings, cut short; and by the signal itself, before or without a handler."""

pytestmark = pytest.mark.campaign


@pytest.mark.parametrize("seed", SEEDS)
def test_typed_verbs_double_no_order_and_lose_no_fill_under_signals(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    # Verbs come round in fours, so that each kind of signal meets each of them, and kills meet them all in between.
    turned = [KINDS[turn % 4 :] + KINDS[: turn % 4] for turn in range(ROUNDS)]
    rounds = [[*turned[turn], *[signal.SIGKILL] * KILLS] for turn in range(ROUNDS)]
    kinds = [kind for some in rounds for kind in some]
    with sat_down(tmp_path / "state") as typist:
        ends = disturbed_day(typist, kinds, seed)
        assert [end for end in ends if end.code not in ENDS] == []
        met = Counter(end.kind for end in ends if end.met)
        assert met == Counter(kinds)
        record_property("kills of typed verbs", met[signal.SIGKILL])
        record_property("other signals to typed verbs", met.total() - met[signal.SIGKILL])
        assert broken_promises(typist) == []
