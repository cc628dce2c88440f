"""One bot and one exchange in this process: a run opens the bot anew, and a kill is an end at a failpoint.

After a kill nothing of that run has an effect any more. What a campaign adds stands in its own subclass: clocks and
snapshots of `tests/faults/ground.py`, futures over a cable in `tests/kit/bot/futures.py`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from commands.evaluate_exits import run as evaluate_exits
from commands.reconcile import run as reconcile
from commands.trade_once import run as trade_once
from papervenue.commands.command import Command
from papervenue.commands.control import TICK
from papervenue.exchange import Exchange
from papervenue.faults.fault_state import PATH as FAULTS
from tests.kit.values import Killed
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, TradebotError

ERRED, KILLED = 70, -9
"""How a run ends whose verb raised what no verb may raise, and one that was killed."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Verb = Callable[[App], int]
"""Runs on a bot and returns an exit code of the command line."""
Hook = Callable[[str], None]


class NearDay:
    """One bot and one exchange, and what was seen to be broken while they ran; `begun` is the log's length before."""

    def __init__(self, exchange: Exchange, folder: Path, begun: int) -> None:
        self.exchange, self.folder = exchange, folder
        self.problems: list[str] = []
        self._begun = begun

    @property
    def now(self) -> datetime:
        """Return the exchange's time."""
        return now_of(self.exchange)

    def events(self) -> list[dict[str, Any]]:
        """Return what the exchange has noted since the day began."""
        self.exchange.record()
        return [json.loads(line) for line in self.exchange.log.lines(self._begun)]

    def tick(self, **step: object) -> None:
        """Let time pass."""
        tick(self.exchange, step)
        self.exchange.record()

    def arm(self, rules: Sequence[object]) -> None:
        """Arm rules of faults at the exchange."""
        if rules:
            told(self.exchange, Command("POST", FAULTS, body=json.dumps(rules)))

    def calm(self) -> None:
        """Take every rule away."""
        told(self.exchange, Command("DELETE", FAULTS))

    def end_of(self, verb: Verb, opened: AbstractContextManager[App]) -> int:
        """Run a verb on a bot, which is opened within; return its exit code, KILLED or ERRED.

        Books that are damaged end a run as it is opened, with a code like any other.
        """
        try:
            with opened as app:
                # The engine's own time, which the exchange's control would tell: no trouble shifts it.
                app.__dict__["engine"] = SimpleNamespace(now_or_none=lambda: self.now)
                return verb(app)
        except Killed:
            return KILLED
        except TradebotError as error:
            return int(error.code)
        except OSError:
            return int(ExitCode.ERROR)
        except Exception as error:  # noqa: BLE001 -- whatever a verb raises beyond these is what is looked for
            self.problems.append(f"a verb raised {error!r}")
            return ERRED


def write_candidates(path: Path, sides: Mapping[str, str]) -> str:
    """Write a file that proposes a side for each symbol, and return its path."""
    scores = {"buy": 0.9, "sell": -0.9}
    lines = [{"symbol": symbol, "side": side, "score": scores[side]} for symbol, side in sides.items()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def entries(candidates: str, *, force_slot: bool = False) -> Verb:
    """Return a pass of entries with the candidates of a file."""
    return lambda app: int(trade_once.run(app, by="test", candidates=candidates, force_slot=force_slot).exit_code)


def exits(app: App) -> int:
    """Run a pass of exits."""
    return int(evaluate_exits.run(app, by="test").exit_code)


def compares(app: App) -> int:
    """Compare the books with the venue."""
    return int(reconcile.run(app, by="test").exit_code)


def tick(exchange: Exchange, step: Mapping[str, Any]) -> None:
    """Let an exchange's time pass."""
    told(exchange, Command("POST", TICK, body=json.dumps(step)))


def told(exchange: Exchange, command: Command) -> None:
    """Let an exchange carry out a command of its own control."""
    status, body = exchange.run(command)
    assert status == 200, body


def now_of(exchange: Exchange) -> datetime:
    """Return an exchange's time."""
    return EPOCH + timedelta(microseconds=exchange.engine.now_us)
