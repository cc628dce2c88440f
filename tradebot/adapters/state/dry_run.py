"""Store the last dry run of entries for explanations, separate from the books and the recorded facts.

No trading code reads it, and only the last dry run is stored.
"""

import json
from pathlib import Path

from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import DRY_RUN, cannot_write, write_durably
from tradebot.adapters.text.canonical import UNFIT, CodecError, json_text
from tradebot.adapters.text.codec import pack, unpack
from tradebot.errors import OperatorError
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.struct_tools import replace


def keep_dry_run(folder: Path, cycle: CycleRecord) -> None:
    """Store the pass, replacing the last dry run; raise CannotWriteError if that fails."""
    assert cycle.dry_run, "only a dry run may be stored here"
    whole = [pack(replace(cycle, candidates=())), [pack(record) for record in cycle.candidates]]
    try:
        write_durably(folder / DRY_RUN, json_text(whole) + "\n")
    except OSError as error:
        raise cannot_write(folder, error) from error


def read_dry_run(folder: Path) -> CycleRecord | None:
    """Return the last dry run, or None if there was none; raise OperatorError if it can't be read."""
    try:
        head, candidates = json.loads(read_plain(folder / DRY_RUN))
        records = tuple(unpack(CandidateRecord, each) for each in candidates)
        return replace(unpack(CycleRecord, head), candidates=records, dry_run=True)
    except FileNotFoundError:
        return None
    except (OSError, CodecError, ValueError, TypeError, *UNFIT) as error:
        raise OperatorError(
            f"{DRY_RUN} can't be read: {error}", "tradebot trade-once --dry-run   (writes a new one)"
        ) from error
