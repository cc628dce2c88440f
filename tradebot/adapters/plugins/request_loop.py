"""Answer one request after the other with a plug-in; all of this runs in its confined process."""

import pickle
import sys
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from traceback import walk_tb
from types import FrameType

from tradebot.adapters.plugins.protocol import DECLARATION, Declared, PluginReply, Start, Wants
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import encode
from tradebot.desk.want_validation import MAX_TEXT, is_own_refusal, validate_wants
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.text import describe_validation_error
from tradebot.model.view import Needs, StrategyView
from tradebot.ports.strategy import Strategy

LONGEST_PATH = 60
"""So many characters of a path are shown."""


class ServedStrategy:
    """A plug-in's strategy, which is made from its settings when it is first asked."""

    def __init__(self, start: Start) -> None:
        self._start = start

    def reply(self, request: bytes) -> bytes:
        """Return what the plug-in declares or its checked wants as JSON, or the decision that refuses them."""
        try:
            if request == DECLARATION:
                return text_of(PluginReply(declared=_declared(self._strategy)))
            view: StrategyView = pickle.loads(request)  # noqa: S301 - from the bot, by way of the keeper
            wants = validate_wants(view, self._strategy.propose(view))
            if is_own_refusal(wants):
                return text_of(PluginReply(wants=Wants(declined=wants)))
            return text_of(
                PluginReply(refusal=wants) if isinstance(wants, Decision) else PluginReply(wants=Wants.of(wants))
            )
        except Exception as error:  # noqa: BLE001 - the boundary of a plug-in: whatever it raises costs its pass alone
            return refusal(describe_error(error, self._start))

    @cached_property
    def _strategy(self) -> Strategy:
        start = self._start
        # As an entry point is loaded, but without the library of packages, whose import takes a third of a start.
        target = start.target.replace(" ", "").partition("[")[0]
        strategy: Strategy = resolve_name(target)(dict(start.settings))
        return strategy


def _declared(strategy: Strategy) -> Declared:
    needs, times = strategy.needs, strategy.times
    if type(needs) is not Needs:
        raise TypeError(f"its needs are a {type(needs).__name__}, not a Needs")
    return Declared.of(needs, times)


def text_of(reply: PluginReply) -> bytes:
    """Format a reply for sending."""
    return json_text(encode(reply)).encode()


def refusal(why: str) -> bytes:
    """Return the reply that refuses an answer because the plug-in failed."""
    return text_of(PluginReply(refusal=Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, why[:MAX_TEXT])))


def describe_error(error: Exception, start: Start) -> str:
    """Return an error on one line, with the last place in the plug-in's own package that led to it."""
    package = start.target.partition(":")[0].partition(".")[0]
    frames = [(frame, line) for frame, line in walk_tb(error.__traceback__) if _package(frame) == package]
    places = [f" ({Path(frame.f_code.co_filename).name} line {line})" for frame, line in frames[-1:]]
    place = "".join(places)
    text = " ".join(f"{type(error).__name__}: {_file_text(error, start) or _error_text(error)}".split())
    return text[: MAX_TEXT - len(place)] + place


def _file_text(error: Exception, start: Start) -> str:
    """Return which files the plug-in can open, if it failed to open another one; empty for any other error."""
    if not isinstance(error, FileNotFoundError | PermissionError) or not isinstance(error.filename, str):
        return ""
    name = error.filename if len(error.filename) <= LONGEST_PATH else f"…{error.filename[-LONGEST_PATH:]}"
    declared = ", ".join(path.name for path in start.files) or "none yet"
    return f"{name} can't be opened: of your files, it sees only those in strategies.{start.section}.files ({declared})"


def _error_text(error: Exception) -> str:
    """Return an error's text; a validator's problems with settings are put in configuration terms."""
    validator = sys.modules.get("pydantic")
    if validator is None or not isinstance(error, validator.ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, each['loc']))} {describe_validation_error(each)}" for each in error.errors())


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]
