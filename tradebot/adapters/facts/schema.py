"""Define the facts file: its tables. Facts only explain, so a damaged file is moved aside and the bot goes on."""

from contextlib import closing
from pathlib import Path

from tradebot.adapters.facts import parity_rows, registry_rows
from tradebot.adapters.state.cache_database import CacheDatabase, DamagedError, check_pages
from tradebot.adapters.state.row_checksums import with_sums
from tradebot.errors import OperatorError
from tradebot.model.text import pluralize

APPLICATION_ID = 0x54424632
TABLES = (
    """CREATE TABLE facts (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, symbol TEXT NOT NULL,
        id TEXT NOT NULL, session TEXT NOT NULL, known_at TEXT NOT NULL, body TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, UNIQUE (endpoint, symbol, id, known_at)
    )""",
    "CREATE INDEX facts_by_session ON facts (endpoint, symbol, session)",
    """CREATE TABLE intakes (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, symbol TEXT NOT NULL,
        at TEXT NOT NULL, received INTEGER NOT NULL, foreign_rows INTEGER NOT NULL,
        duplicates INTEGER NOT NULL, rejected TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1
    )""",
    "CREATE INDEX intakes_by_symbol ON intakes (endpoint, symbol, at)",
    "CREATE INDEX intakes_by_time ON intakes (at)",
    """CREATE TABLE cycles (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1
    )""",
    "CREATE INDEX cycles_by_job ON cycles (job, at)",
    """CREATE TABLE candidates (
        cycle INTEGER NOT NULL REFERENCES cycles ON DELETE CASCADE, position INTEGER NOT NULL,
        symbol TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1,
        PRIMARY KEY (cycle, position)
    ) WITHOUT ROWID""",
    "CREATE INDEX candidates_by_symbol ON candidates (symbol, at)",
    # What the check of a reply's rows found, and the nulls of each field; most replies have no finding.
    """CREATE TABLE checks (
        intake INTEGER PRIMARY KEY REFERENCES intakes ON DELETE CASCADE, found TEXT NOT NULL, nulls TEXT NOT NULL
    )""",
    "CREATE INDEX checks_with_findings ON checks (intake) WHERE found != '[]'",
    # Only passes that read the account are in these, so that the last one of each session is found at once.
    """CREATE INDEX cycles_with_equity ON cycles (body ->> '$[2]', at) WHERE body ->> '$[9]' IS NOT NULL""",
    """CREATE INDEX cycles_with_marks ON cycles (body ->> '$[2]', at)
        WHERE json_array_length(body, '$[10]') > 0""",
)
# Of each pass with candidates, how these ended, summed up: a month of many symbols would take seconds to read.
ENDS = """CREATE TABLE ends (
    cycle INTEGER PRIMARY KEY REFERENCES cycles ON DELETE CASCADE, body TEXT NOT NULL
)"""
ADDED = (registry_rows.TABLE, registry_rows.DISCOVERY, ENDS, parity_rows.TABLE)
FILE = CacheDatabase("facts", APPLICATION_ID, 1, with_sums(TABLES), with_sums(ADDED))


def check(path: Path, *, pages: bool) -> None:
    """Raise OperatorError if the file is no store of facts; leave it as it is. Every page and row is read if `pages`.

    A damaged page may lie where no query would ever look.
    """
    try:
        database = FILE.open(path)
        with closing(database), FILE.translate_errors(path):
            if pages:
                check_pages(database)
                if bad := database.bad_rows.find_all():
                    raise DamagedError(f"{pluralize(bad, 'row')} not as written, which count as absent")
    except DamagedError as error:
        raise OperatorError(
            f"The facts {path} are damaged: {error}.",
            "tradebot fetch-flow --force-slot   (starts a new file and keeps the old one; only explanations are lost)",
        ) from error
