"""Keep what a backtest leaves beside its books, in its folder, for the verbs that report it."""

import json
from pathlib import Path

from tradebot.adapters.state import state_folder
from tradebot.adapters.state.plain_files import read_plain
from tradebot.adapters.text.canonical import CodecError
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import OperatorError
from tradebot.model.evidence import NO_EVIDENCE, Evidence


def write_evidence(folder: Path, evidence: Evidence) -> None:
    """Write the evidence into a folder, over what was there; raise OperatorError if that fails."""
    file = folder / state_folder.EVIDENCE
    try:
        state_folder.write_durably(file, json.dumps(encode(evidence), indent=1) + "\n")
    except OSError as error:
        raise OperatorError(
            f"{file.name} can't be written: {error.strerror}", "free some space and run it again"
        ) from error


def read_evidence(folder: Path) -> Evidence:
    """Return the evidence in a folder, or none if it has no such file; raise OperatorError if it can't be read."""
    file = folder / state_folder.EVIDENCE
    try:
        return decode(Evidence, json.loads(read_plain(file)))
    except FileNotFoundError:
        return NO_EVIDENCE
    except (OSError, CodecError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OperatorError(
            f"{file.name} can't be read: {why}", "run the backtest again, or remove the file"
        ) from error
