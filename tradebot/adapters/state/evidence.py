"""Store a backtest's results besides its books in its folder, for the verbs that report them."""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from tradebot.adapters.state import trials
from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import BACKTESTS, EVIDENCE, StateFolder, option, write_durably
from tradebot.adapters.text.canonical import CodecError
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import OperatorError
from tradebot.model.evidence import NO_EVIDENCE, Evidence, Trials

BACKTEST, SHADOW = "backtest", "shadow"
"""The kinds of folders that are only read: a finished backtest, and what a strategy does in shadow."""


def trading(folder: StateFolder) -> StateFolder:
    """Return the folder of a bot that can trade; raise OperatorError if its kind is only read."""
    if folder.kind == SHADOW:
        raise OperatorError(
            f"{folder.path} holds what a strategy does in shadow: it can be read, and its bot alone trades in it",
            f"tradebot report {option(folder.path)}; to trade now: tradebot shadow {option(folder.path.parent.parent)}",
        )
    if folder.kind != BACKTEST:
        return folder
    raise OperatorError(
        f"{folder.path} holds a finished backtest: it can be read, but nothing trades in it",
        f"tradebot report {option(folder.path)}; to trade: tradebot init --state-dir NEW",
    )


def write_evidence(folder: Path, evidence: Evidence) -> None:
    """Write the evidence into a folder, over what was there; raise OperatorError if that fails."""
    file = folder / EVIDENCE
    try:
        write_durably(file, json.dumps(encode(evidence), indent=1) + "\n")
    except OSError as error:
        raise OperatorError(
            f"{file.name} can't be written: {error.strerror}", "free some space and run it again"
        ) from error


def read_evidence(folder: Path) -> Evidence:
    """Return the evidence in a folder, or none if it has no such file; raise OperatorError if it can't be read."""
    file = folder / EVIDENCE
    try:
        return decode(Evidence, json.loads(read_plain(file)))
    except FileNotFoundError:
        return NO_EVIDENCE
    except (OSError, CodecError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OperatorError(
            f"{file.name} can't be read: {why}", "run the backtest again, or remove the file"
        ) from error


def read_trials(folder: Path, strategies: Collection[str], codes: Collection[str] = ()) -> Trials | None:
    """Return how many settings of these strategies were tried in the backtests beside a folder; None without a list.

    Runs with the same settings count once, with the ratio of the last, and the same code counts under any name; `codes`
    are digests of code that counts too. Raises OperatorError if the list was edited.
    """
    found = trials.trials_of(trials.read(folder.parent) or (), strategies, codes)
    return Trials(len(found), tuple(one.sharpe for one in found if one.sharpe is not None)) if found else None


def backtested_code(state: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the code that backtests in a state folder have played to the end, by strategy, the last one last.

    It is a digest with the name of its last run. What can't be read is left out.
    """
    found: dict[str, dict[str, str]] = {}
    with suppress(OperatorError, OSError):
        for one in trials.read(state / BACKTESTS) or ():
            played = found.setdefault(one.strategy, {})
            if one.code:
                played.pop(one.code, None)
                played[one.code] = one.name
    return found
