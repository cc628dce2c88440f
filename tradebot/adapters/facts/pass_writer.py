"""Write passes: one by one, or those of a finished run into a new file at once."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tradebot.adapters.facts.pass_summaries import ends_of
from tradebot.adapters.facts.schema import FILE
from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.state_folder import FACTS
from tradebot.adapters.text.canonical import json_text, time_text
from tradebot.adapters.text.codec import pack
from tradebot.model.record import CycleRecord
from tradebot.model.values import replace

ALWAYS = CycleRecord.__struct_fields__.index("margin")
"""How many fields of a pass are always written; most passes have none of the others."""


def write_passes(folder: Path, cycles: Iterable[CycleRecord]) -> None:
    """Start a folder's file of facts with these passes, each of which has its own id."""
    path = folder / FACTS
    database, _ = FILE.start_over(path)
    with closing(database), FILE.translated(path):
        database.execute("BEGIN IMMEDIATE")
        for cycle in cycles:
            insert_pass(database, cycle)
        with around("pass_writer.commit"):
            database.execute("COMMIT")


def insert_pass(database: sqlite3.Connection, cycle: CycleRecord) -> None:
    """Insert a pass with its candidates, in the caller's transaction."""
    whole = replace(cycle, candidates=()) if cycle.candidates else cycle
    fields: list[object] = pack(whole)
    while len(fields) > ALWAYS and fields[-1] in (None, []):
        fields.pop()
    head, at = json_text(fields), time_text(cycle.at)
    row = database.execute("INSERT INTO main.cycles (job, at, body) VALUES (?, ?, ?)", (cycle.job, at, head)).lastrowid
    rows = [
        (row, position, record.candidate.symbol, at, json_text(pack(record)))
        for position, record in enumerate(cycle.candidates)
    ]
    if rows:
        query = "INSERT INTO main.candidates (cycle, position, symbol, at, body) VALUES (?, ?, ?, ?, ?)"
        database.executemany(query, rows)
        database.execute(
            "INSERT INTO main.ends (cycle, body) VALUES (?, ?)", (row, json_text(ends_of(cycle.candidates)))
        )
