"""Signals to the installed command line at moments that nobody chose: real processes, real requests."""

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from tests.faults.typed import broken_promises, disturbed_day, sat_down

SOAK = hypothesis.settings().max_examples > 1000
SEEDS = range(1, 76) if SOAK else range(1, 2)
OTHERS, KILLS_EACH = (20, 2) if SOAK else (16, 1)
"""Signals other than a kill, and how many kills there are to each of them."""
KINDS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP]
ENDS = {0, 3, 6, 10, 130, 143, *(-kind for kind in (*KINDS, signal.SIGKILL))}
"""Done, refused, another at work, findings, cut short; and by the signal itself, before or without a handler."""

pytestmark = pytest.mark.timeout(0 if SOAK else 600)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_signal_at_any_moment_doubles_an_order_or_loses_a_fill(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    # Verbs come round in fours, so that each kind of signal meets each of them, and kills meet them all in between.
    rounds = [KINDS[turn:] + KINDS[:turn] + [signal.SIGKILL] * 4 * KILLS_EACH for turn in range(4)]
    kinds = [kind for turn in range(OTHERS // 4) for kind in rounds[turn % 4]]
    with sat_down(tmp_path / "state") as typist:
        ends = disturbed_day(typist, kinds, seed)
        assert {end.code for end in ends} <= ENDS
        met = Counter(end.kind for end in ends if end.met)
        assert met == Counter(kinds)
        record_property("kills of typed verbs", met[signal.SIGKILL])
        record_property("other signals to typed verbs", met.total() - met[signal.SIGKILL])
        assert broken_promises(typist) == []
