"""Read everything that a bot has fetched out of its file of facts, reply by reply, to be played again."""

import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tradebot.adapters.facts import history
from tradebot.adapters.facts.schema import FILE
from tradebot.adapters.state.cache_database import DamagedError
from tradebot.adapters.state.state_folder import FACTS
from tradebot.adapters.text.codec import unpack, unpack_all
from tradebot.errors import OperatorError
from tradebot.model.flow import Intake
from tradebot.model.kind import ContractFinding, Fact
from tradebot.model.values import replace
from tradebot.signals.kinds import kind_names, kind_of

REPLIES = """SELECT endpoint, symbol, at, received, foreign_rows, duplicates, rejected, found, nulls
    FROM intakes LEFT JOIN checks ON intake = sequence ORDER BY at, sequence"""
FACTS_OF = "SELECT symbol, known_at, body FROM facts WHERE endpoint = ? ORDER BY sequence"


def load_replies(folder: Path) -> Sequence[Intake]:
    """Return the replies that a state folder knows of, oldest first, each with the facts that it was the first to say.

    Of kinds that this version doesn't know, nothing is returned; none at all if there is no file of facts. Raises
    OperatorError if the file is damaged.
    """
    path = folder / FACTS
    if not path.exists():
        return ()
    try:
        with closing(FILE.open(path)) as database, FILE.translate_errors(path):
            facts = defaultdict[tuple[str, str, str], list[Fact]](list)
            for name in kind_names():
                rows = database.execute(FACTS_OF, (name,)).fetchall()
                read = unpack_all(kind_of(name).fact, [body for _, _, body in rows])
                for (symbol, known_at, _), fact in zip(rows, read, strict=True):
                    facts[name, symbol, known_at].append(fact)
            replies = database.execute(REPLIES).fetchall()
            known = frozenset(kind_names())
            return [_intake(row, facts[row[0], row[1], row[2]]) for row in replies if row[0] in known]
    except (DamagedError, ValueError) as error:
        raise OperatorError(f"The facts {path} are damaged: {error}.", "give the folder of another bot") from error


def _intake(row: Sequence[Any], facts: list[Fact]) -> Intake:
    counts, found, nulls = history.intake(row[:7]), row[7], row[8]
    # Two replies of one moment share what became known then.
    mine, facts[:] = tuple(facts), []
    if nulls is None:
        return replace(counts, facts=mine)
    findings = tuple(unpack(ContractFinding, each) for each in json.loads(found))
    return replace(counts, facts=mine, findings=findings, nulls=json.loads(nulls))
