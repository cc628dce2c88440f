"""Measure the search for advice about refused candidates, and take a hundred pieces of advice at their word.

Three sessions are played: as shipped, with a full book, and with small orders. Of the candidates that each refused,
150 are drawn at random, and each is searched afresh, from the record of its pass on. Of those with advice, up to a
hundred are decided again with exactly the change that is told, as a person types it, and then with each number of it
one step nearer to what it was.
"""

import gc
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.support.advised import FULL, SMALL, Door, Refusal, Tally, passes_of, refusals, taken
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.demo import verb as demo
from commands.init.symbols import symbol_flags
from commands.shared.setting_words import values_of
from tradebot.__main__ import UNCOLLECTED
from tradebot.adapters.text.yaml_edit import changed
from tradebot.app.advising import Advising
from tradebot.exchange import process
from tradebot.replaying.answering import Stored
from tradebot.replaying.asking import Advice

MINUTES, SEARCHED, TAKEN = sized(120, 3), sized(150, 4), sized(100, 3)
"""How long a session is, how many refused candidates of it are searched, and how much advice of all is taken."""
BOUND_MS, SEED = 300, 7
STATE = Path(__file__).parents[1] / "state"


def play(folder: Path, settings: tuple[str, ...]) -> list[Refusal]:
    """Play a session with these settings; return what its passes refused."""
    flags: Any = {"mode": "sandbox", **symbol_flags(None)}
    for path, value in values_of([(key, value) for key, _, value in (one.partition("=") for one in settings)]):
        flags = changed(flags, path, value)
    try:
        demo.run(str(folder), flags, MINUTES, lambda done, total: None)
    finally:
        process.stop(folder / "exchange")
    return [*refusals(passes_of(folder))]


def searched(refused: list[Refusal], stored: Stored, spent: list[float]) -> Iterator[tuple[Refusal, Advice]]:
    """Yield each candidate with the advice about it; add the processor milliseconds of each search to those spent."""
    for refusal in refused:
        began = time.process_time()
        advising = Advising(refusal.recorded, stored)
        advising.told(refusal.whose, advising.settings)
        spent.append((time.process_time() - began) * 1e3)
        yield refusal, advising.of(refusal.whose)


def main() -> None:
    """Measure and print."""
    gc.set_threshold(UNCOLLECTED)
    STATE.mkdir(exist_ok=True)
    chance, spent, tallies, count = random.Random(SEED), list[float](), list[Tally](), 0  # noqa: S311 - replayable
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as place:
        for number, settings in enumerate(((), FULL, SMALL)):
            folder = Path(place) / f"demo{number}"
            refused = play(folder, settings)
            count += len(refused)
            # What is only read of the records before the search belongs to none of the candidates.
            gc.freeze()
            with Door(folder) as door:
                found = [*searched(chance.sample(refused, min(SEARCHED, len(refused))), door.stored, spent)]
                tallies.append(taken(door, found, TAKEN - sum(one.advised for one in tallies)))
    figures(count, sorted(spent), tallies)


def figures(count: int, spent: list[float], tallies: list[Tally]) -> None:
    """Print what was measured."""
    advised, singles, sent, nearer = (
        sum(getattr(one, name) for one in tallies) for name in ("advised", "singles", "sent", "nearer_sent")
    )
    show(
        f"{len(spent)} of {count} refused candidates, 20 symbols, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores",
        [
            Figure("search, one candidate", "median", statistics.median(spent), "ms", BOUND_MS),
            Figure("", "95 of 100", spent[int(len(spent) * 0.95)], "ms", BOUND_MS),
            Figure("", "longest", spent[-1], "ms", BOUND_MS),
            Figure("advice taken", f"{singles} of one setting, {advised - singles} of two", advised, "changes"),
            Figure("its order went out", f"{sent} of {advised}"),
            Figure("one step nearer, it went out", f"{nearer} of {advised}"),
        ],
    )
    for one in tallies:
        for wrong in one.wrong:
            print(f"otherwise than advised: {wrong}")


if __name__ == "__main__":
    main()
