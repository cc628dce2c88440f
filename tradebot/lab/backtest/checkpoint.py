"""Keep an unfinished backtest between two sessions, so that it can go on later exactly as if it had never stopped.

A checkpoint holds everything that playing has changed: the engine's accounts, orders and agenda, the books, and what
was recorded. Playing everything again would lead to the same, because a backtest is deterministic, but takes as long.
What a checkpoint holds are plain values of our own. Reading one makes no object of any other class.
"""

from __future__ import annotations

import pickle
from dataclasses import fields
from io import BytesIO
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from papervenue.snapshot.state import KEPT
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradebot.lab.backtest.setup import BacktestSetup
    from tradebot.lab.driver.driver import Driver
    from tradebot.model.record import SessionEnd

_HEADER = b"tradebot checkpoint 1\n"
_OURS = (
    "tradebot.adapters.ledger.rows",
    "tradebot.adapters.ledger.tables",
    "tradebot.adapters.memory.",
    "tradebot.lab.driver.",
    "papervenue.engine.",
    "papervenue.market.",
    "tradebot.model.",
    "tradebot.signals.",
)
_PLAIN = {
    "builtins": {"frozenset", "set"},
    "collections": {"Counter", "defaultdict", "deque"},
    "datetime": {"date", "datetime", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "functools": {"partial"},
}
_MAKERS = {
    "builtins": {"dict", "int", "list", "tuple"},
    "msgspec._utils": {"rebuild"},
    "papervenue.engine.account_lists": {"_nothing_kept"},
}
"""What some of them are made with, or ask for what isn't there."""


def dump_checkpoint(made: BacktestSetup, driver: Driver, ends: Sequence[SessionEnd], identity: str) -> bytes:
    """Encode a checkpoint; `identity` names what is played and must match when it is resumed."""
    engine = {path: [getattr(_holder(made, path), name) for name in names] for path, names in _engine_parts()}
    stores = [vars(store) for store in (made.ledger, made.facts, made.events)]
    state = (identity, engine, stores, driver.state, list(ends))
    return _HEADER + pickle.dumps(state, pickle.HIGHEST_PROTOCOL)


def unpack(data: bytes, made: BacktestSetup, driver: Driver, identity: str) -> list[SessionEnd]:
    """Bring a newly assembled bot to where a checkpoint left it; return how the account stood at each session's end.

    Raises OperatorError if the checkpoint can't be read, or is of something else.
    """
    again = "delete it, and play the backtest from the beginning"
    if not data.startswith(_HEADER):
        raise OperatorError("the checkpoint was written by another version, or isn't one", again)
    try:
        of, engine, stores, state, ends = _Reader(BytesIO(data[len(_HEADER) :])).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, TypeError, ValueError) as bad:
        raise OperatorError(f"the checkpoint can't be read: {bad}", again) from bad
    if of != identity:
        raise OperatorError("the checkpoint is of other settings, another market or another version", again)
    _restore_engine(made, engine)
    for store, kept in zip((made.ledger, made.facts, made.events), stores, strict=True):
        vars(store).update(kept)
    driver.state = state
    return list(ends)


def _engine_parts() -> list[tuple[str, tuple[str, ...]]]:
    """Return what commands and time change in an engine and its market, by its path."""
    return [(path, names) for path, names in KEPT.items() if path.split(".")[0] in ("engine", "market")]


def _holder(made: BacktestSetup, path: str) -> Any:
    root, _, rest = path.partition(".")
    holder = made.engine if root == "engine" else made.engine.market
    return attrgetter(rest)(holder) if rest else holder


def _restore_engine(made: BacktestSetup, parts: dict[str, list[Any]]) -> None:
    accounts = made.engine.accounts
    for path, names in _engine_parts():
        for name, value in zip(names, parts[path], strict=True):
            setattr(_holder(made, path), name, value)
    # The bot's ports hold on to the accounts that they were made with.
    for number, kept in made.engine.accounts.items():
        for field in fields(kept):
            setattr(accounts[number], field.name, getattr(kept, field.name))
    made.engine.accounts = accounts
    made.engine.market.announce()


class _Reader(pickle.Unpickler):
    """Makes nothing but values of our own and plain ones, so that a file from elsewhere can't run anything."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class that a checkpoint may hold; raise UnpicklingError for anything else."""
        known = name in _PLAIN.get(module, ()) or name in _MAKERS.get(module, ())
        found = super().find_class(module, name) if known or module.startswith(_OURS) else None
        if not (known or isinstance(found, type)):
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which no checkpoint does")
        return found
