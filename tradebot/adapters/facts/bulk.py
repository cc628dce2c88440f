"""Write the passes of a finished run into a new file at once."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tradebot.adapters.facts.schema import FILE
from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.state_folder import FACTS
from tradebot.adapters.text.canonical import json_text, time_text
from tradebot.adapters.text.codec import pack
from tradebot.model.record import CycleRecord
from tradebot.model.values import replace


def write_passes(folder: Path, cycles: Iterable[CycleRecord]) -> int:
    """Start a folder's file of facts with these passes, each of which has its own id; return their number."""
    path, count = folder / FACTS, 0
    database, _ = FILE.start_over(path)
    with closing(database), FILE.translated(path):
        database.execute("BEGIN IMMEDIATE")
        for count, cycle in enumerate(cycles, 1):
            at = time_text(cycle.at)
            database.execute(
                "INSERT INTO main.cycles (sequence, job, at, body) VALUES (?, ?, ?, ?)",
                (count, cycle.job, at, json_text(pack(replace(cycle, candidates=())))),
            )
            database.executemany(
                "INSERT INTO main.candidates (cycle, position, symbol, at, body) VALUES (?, ?, ?, ?, ?)",
                [
                    (count, position, record.candidate.symbol, at, json_text(pack(record)))
                    for position, record in enumerate(cycle.candidates)
                ],
            )
        with around("bulk.commit"):
            database.execute("COMMIT")
    return count
