"""Rerun a finished backtest from its recorded identity, to show the decisions that it made."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from papervenue.market.spec import MarketSpec
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.adapters.plugins.code_digest import StrategyCode
from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import FACTS
from tradebot.app.baseline import effective, with_earlier
from tradebot.app.loading import USER_FILE
from tradebot.app.settings import Settings
from tradebot.errors import OperatorError
from tradebot.lab.backtest.identity import FINGERPRINT_CHARACTERS, RunIdentity, identity_of
from tradebot.lab.backtest.results import RESULT, read_result
from tradebot.lab.backtest.run import BacktestPlan, create_run
from tradebot.lab.backtest.setup import loaded_strategies
from tradebot.model.record import CycleRecord

AGAIN = "run tradebot backtest again, with the same options"


class PastRun:
    """A finished backtest in its folder, whose market and code match its identity.

    `decided_by` is the version of the program that ran it, and `other_code` says which code has changed since. Raise
    OperatorError if one of its files has changed, or if this program can't run it.
    """

    def __init__(self, folder: Path) -> None:
        document = read_result(folder)
        if document is None:
            raise OperatorError(f"{folder / RESULT} is missing, so it is unknown what was played", AGAIN)
        self._folder = folder
        self._plan = _plan(folder, document)
        if self._plan.level is not RecordLevel.FULL:
            raise OperatorError(f"{folder} holds no decisions: it was played with --recorder {self._plan.level}", AGAIN)
        recorded, now = document["identity"], identity_of(self._plan)
        if others := sorted(_other_files(recorded["data"], now)):
            raise OperatorError(f"{folder.name} can't be played again: {'; '.join(others)}", AGAIN)
        self.decided_by = str(recorded["versions"]["tradebot"])
        self.other_code = tuple(_other_code(recorded, now))

    def replay_until(self, until: date, progress: Callable[[int, int], None]) -> Sequence[CycleRecord]:
        """Rerun all passes from the start up to the end of a session, and return them."""
        with loaded_strategies(self._plan.settings, self._folder, os.environ) as strategies:
            run = create_run(self._plan, strategies)
            try:
                due = [session for session in run.made.sessions if session.date <= until]
                while len(run.ends) < len(due):
                    progress(len(run.ends), len(due))
                    run.step()
                return tuple(run.made.facts.to_save())
            finally:
                run.made.close()


def _plan(folder: Path, document: Mapping[str, Any]) -> BacktestPlan:
    try:
        identity = document["identity"]
        options, settings = identity["options"], _settings(folder, identity["settings"])
        spec = MarketSpec.from_json(json.dumps(identity["market"]))
        level, every_pass = RecordLevel(options["recorder"]), bool(document.get("every_pass"))
        return BacktestPlan(settings, spec, level, every_pass, options["equity_at"], options["margin"])
    except (KeyError, TypeError, ValueError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise OperatorError(f"{folder / RESULT} doesn't say what was played: {why}", AGAIN) from error


def _settings(folder: Path, identity: Mapping[str, Any]) -> Settings:
    """Return the settings from the run's own file, because the identity doesn't keep their order."""
    try:
        values = yaml.safe_load(read_plain(folder / USER_FILE))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{USER_FILE} can't be read: {error}") from error
    settings = Settings.model_validate(with_earlier({**(values or {}), "mode": identity["mode"]}))
    if effective(settings) != identity:
        raise ValueError(f"{USER_FILE} has changed since")
    return settings


def _other_files(recorded_files: Sequence[Mapping[str, Any]], now: RunIdentity) -> Iterator[str]:
    """Yield each missing or changed file by its name."""
    then, now_files = (
        Counter((file["name"], file["sha256"]) for file in recorded_files),
        Counter((d.name, d.sha256) for d in now.data),
    )
    there = {name for name, _ in now_files}
    for name in {name for name, _ in (then - now_files) + (now_files - then)}:
        if name == FACTS:
            yield f"the run used options flow that a bot had fetched, which isn't stored with it ({FACTS})"
        else:
            yield f"{name} has changed since" if name in there else f"{name} is missing"


def _other_code(recorded: Mapping[str, Any], now: RunIdentity) -> Iterator[str]:
    """Yield each changed version, and each strategy whose code has changed."""
    for name, version in now.versions.items():
        then = str(recorded["versions"].get(name))
        if then != version:
            yield f"{name}: {then[:FINGERPRINT_CHARACTERS]} then, {version[:FINGERPRINT_CHARACTERS]} now"
    for name, code in now.code.items():
        then = recorded["code"].get(name)
        if then is None or StrategyCode.stored(then).digest != code.digest:
            yield f"the code of {name} has changed"
