"""Keep what a backtest leaves beside its books, in its folder, for the verbs that report it."""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from tradebot.adapters.state.plain_files import read_plain
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


TRIALS = "trials.jsonl"
"""Beside the folders of backtests: a line for each run that ended, with strategy, digest of its settings, and ratio."""


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


def read_trials(folder: Path, strategies: Collection[str]) -> Trials | None:
    """Return how many settings of these strategies were tried in the backtests beside a folder; None without a list.

    Runs with the same settings count once, with the ratio of the last. A line that can't be read is left out.
    """
    try:
        lines = read_plain(folder.parent / TRIALS).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    found = dict(filter(None, (_trial(line, strategies) for line in lines)))
    return Trials(len(found), tuple(ratio for ratio in found.values() if ratio is not None)) if found else None


def backtested_code(state: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the code that backtests in a state folder have played to the end, by strategy, the last one last.

    It is a digest with the name of its last run. What can't be read is left out.
    """
    try:
        lines = read_plain(state / BACKTESTS / TRIALS).decode("utf-8", "replace").splitlines()
    except OSError:
        return {}
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            fields = json.loads(line)
            played = found.setdefault(str(fields["strategy"]), {})
            played.pop(fields["code"], None)
            played[fields["code"]] = str(fields["name"])
    return found


def _trial(line: str, strategies: Collection[str]) -> tuple[str, float | None] | None:
    """Return the digest and the Sharpe ratio of a line about one of these strategies."""
    try:
        fields = json.loads(line)
        digest, ratio = str(fields["digest"]), fields["sharpe"]
        return (digest, None if ratio is None else float(ratio)) if fields["strategy"] in strategies else None
    except (ValueError, KeyError, TypeError):
        return None
