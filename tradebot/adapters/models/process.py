"""Run a policy's models in a separate process, which is started once, tested, and then used for many requests.

The bot reads the models, checks their signatures, and sends them to a process that can't access any of its files. The
process is confined like a plug-in's. It is ended if it fails or doesn't reply in time, and the next pass starts
another. A user can also test a model once: the model then runs on its stored observations, and its response time is
measured.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.metadata import EntryPoint
from math import inf
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from tradebot.adapters.models.files import read_model
from tradebot.adapters.models.model_folder import RefusedModelError, worker_settings
from tradebot.adapters.plugins.code_digest import built_in_code
from tradebot.adapters.plugins.plugin import PluginEnvironment, PluginStrategy
from tradebot.adapters.plugins.process import NoValidReplyError, PluginProcess
from tradebot.adapters.plugins.protocol import GROUP
from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import write_durably
from tradebot.learning.ensemble import Combine, PolicyMode
from tradebot.learning.inference import ModelSelection
from tradebot.learning.model_card import Model, SessionResult
from tradebot.learning.policy_decisions import MODEL, passing_decision, refusal
from tradebot.model.bar import Session
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.view import FeatureRow, Situation, StrategyView, Target, Want

TARGET = "tradebot.adapters.models.model_worker:ModelsStrategy"

LOOK = StrategyView(datetime.min.replace(tzinfo=UTC), ())

"""A view without symbols, for which models only report whether they work."""

WORDS = {Reason.STRATEGY_FAILED: Reason.MODEL_FAILED, Reason.STRATEGY_TIMEOUT: Reason.MODEL_SLOW}

"""A plug-in's reasons, and the corresponding reasons of a model."""

OF_THE_TEST = frozenset(
    {Reason.MODEL_ANSWERS_DIFFER, Reason.MODEL_NOT_FINITE, Reason.MODEL_SHAPE_WRONG, Reason.MODEL_FAILED}
)

"""Reasons for which the last good model replaces one that failed its test."""


class ModelLocation(Struct, frozen=True):
    """Where to find a policy's models and the file with their later results, who signed them, and how they are
    combined.

    `answer_ms` is the time limit for an answer; with None, a plug-in's limit applies. `noted` is the file that records
    which models last passed their test, or None.
    """

    folder: Path
    public: str
    models: tuple[str, ...]
    answer_ms: int | None = None
    results: Path | None = None
    noted: Path | None = None


class ModelProcess(PluginStrategy):
    """A policy's models and their process. Unless models are passed in, they are read when first needed.

    Like a plug-in, an instance may be used in only one thread.
    """

    def __init__(
        self,
        location: ModelLocation,
        acting: ModelSelection,
        surroundings: PluginEnvironment,
        name: str,
        models: tuple[Model, ...] | None = None,
    ) -> None:
        super().__init__(EntryPoint("policy", TARGET, GROUP), {}, surroundings, name)
        self.code = built_in_code().digest
        self._place, self._acting = location, acting
        self._read: tuple[Model, ...] | Decision | None = models
        self._replaced: Decision | None = None
        self._session: date | None = None

    def models(self) -> tuple[Model, ...] | Decision:
        """Return the models in use, or why one of them can't be used. Each is read from its folder only once."""
        if self._read is None:
            try:
                self._read = tuple([self._model(name) for name in self._place.models])
            except RefusedModelError as refused:
                self._read = refused.decision
        return self._read

    def begin_pass(self) -> None:
        """Let models that failed in an earlier pass be loaded and run again."""
        super().begin_pass()
        if isinstance(self._read, Decision):
            self._read = None

    def runs_other_code(self) -> bool:
        """Return False: the process runs the bot's own code, and the models were checked when they were read."""
        return False

    def answer(self, view: StrategyView) -> Sequence[Target] | Decision:
        """Return a target for each of the view's symbols, or why there is none; never raise because a model failed."""
        session = view.situation and view.situation.session
        if self._place.results and session and session.date != self._session:
            # The results of the session before may have arrived.
            self.close()
            self._session = session.date
        most_ms = self._place.answer_ms
        answer = self._attempt(lambda process: process.wants(view, most_ms and most_ms / 1000))
        return self._to_model_reason(answer) if isinstance(answer, Decision) else self._with_replacement_noted(answer)

    def _with_replacement_noted(self, wants: Sequence[Want]) -> Sequence[Target]:
        targets = [want for want in wants if isinstance(want, Target)]
        if self._replaced is None:
            return targets
        return [replace(target, decisions=(self._replaced, *target.decisions)) for target in targets]

    def _start_process(self) -> PluginProcess:
        """Start a process with tested models: the selected ones, or the last good ones if these fail."""
        models = self.models()
        if isinstance(models, Decision):
            raise NoValidReplyError(models)
        self._replaced = None
        try:
            process = self._start_and_test(models)
        except NoValidReplyError as failed:
            good = self._last_good()
            why = self._to_model_reason(failed.decision)
            if why.reason not in OF_THE_TEST or not good or good == self._place.models:
                raise NoValidReplyError(why) from failed
            process = self._start_and_test(self._good(good, why))
            self._replaced = passing_decision(MODEL, Reason.MODEL_REPLACED, str(why.observed), ", ".join(good))
        else:
            self._note()
        return process

    def _start_and_test(self, models: tuple[Model, ...]) -> PluginProcess:
        settings = worker_settings(models, replace(self._acting, results=self._results()))
        process = PluginProcess(replace(self._start, settings=settings), self._environ)
        with ExitStack() as untested:
            untested.callback(process.end)
            # Its declaration is the reply to its start, which takes longer than any other.
            assert process.declaration.times == ""
            answer = process.wants(LOOK)
            if isinstance(answer, Decision):
                raise NoValidReplyError(answer)
            untested.pop_all()
        return process

    def _good(self, names: Sequence[str], why: Decision) -> tuple[Model, ...]:
        try:
            return tuple([self._model(name) for name in names])
        except RefusedModelError as refused:
            raise NoValidReplyError(why) from refused

    def _model(self, name: str) -> Model:
        return read_model(self._place.folder, name, self._place.public)

    def _last_good(self) -> tuple[str, ...]:
        return good_models(self._place.noted).get(self.name, ()) if self._place.noted else ()

    def _note(self) -> None:
        """Record that the models work, unless that is already recorded."""
        file, names = self._place.noted, self._place.models
        if file is not None and self._last_good() != names:
            write_durably(file, json.dumps({**good_models(file), self.name: names}, sort_keys=True) + "\n")

    def _to_model_reason(self, why: Decision) -> Decision:
        """Convert the process's reason to the corresponding reason for models."""
        reason = WORDS.get(why.reason) if why.reason else None
        if reason is None:
            return why
        slow = reason is Reason.MODEL_SLOW
        most_ms = self._place.answer_ms or self._start.bounds.timeout_s * 1000
        return refusal(reason, "no answer" if slow else str(why.observed), most_ms if slow else None)

    def _results(self) -> Mapping[str, tuple[SessionResult, ...]]:
        return read_results(self._place.results) if self._place.results else {}


def good_models(file: Path) -> dict[str, tuple[str, ...]]:
    """Return for each policy the models that last passed their test; empty if none are recorded or the file can't be
    read.
    """
    try:
        document = json.loads(read_plain(file))
        return {str(name): tuple(map(str, models)) for name, models in document.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def read_results(file: Path) -> Mapping[str, tuple[SessionResult, ...]]:
    """Return each model's results by session, from a file; raise NoValidReplyError if it is unreadable."""
    try:
        document = json.loads(read_plain(file))
        return {str(name): tuple(_result(*row) for row in results.items()) for name, results in document.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise NoValidReplyError(refusal(Reason.MODEL_UNREADABLE, f"{file.name}: {why}")) from error


def _result(day: str, earned: float) -> SessionResult:
    if not -1 < float(earned) < inf:
        raise ValueError(f"{earned} isn't a return above -1")
    return SessionResult(date.fromisoformat(day), float(earned))


ASKED = 50

"""The number of runs for measuring a model's response time."""

ANY = "ANY"

"""The symbol in these runs."""


class Latency(NamedTuple):
    """A model's response time in milliseconds: the median and the maximum."""

    usual_ms: float
    longest_ms: float


def self_test(model: Model, surroundings: PluginEnvironment) -> Latency | Decision:
    """Measure a model's response times, or return why it can't be used."""
    model_location = ModelLocation(Path(), "", (model.id,))
    process = ModelProcess(
        model_location, ModelSelection(PolicyMode.INFERENCE, Combine.MAJORITY, 1, {}), surroundings, "models", (model,)
    )
    try:
        view, took = _view(model), list[float]()
        # The first answer includes the start.
        for _ in range(ASKED + 1):
            began = time.perf_counter()
            decision = process.answer(view)
            if isinstance(decision, Decision):
                return decision
            took.append((time.perf_counter() - began) * 1000)
    finally:
        process.close()
    took = sorted(took[1:])
    return Latency(took[ASKED // 2], took[-1])


def _view(model: Model) -> StrategyView:
    """Return a view with each feature's usual value, at the open of a session."""
    now = datetime.now(UTC)
    session = Session(now.date(), now, now + timedelta(hours=1))
    card, money = model.card, Decimal(100_000)
    values = dict(zip(card.names, model.scaling.means, strict=True))
    row = {(ANY, card.timeframe): FeatureRow(now, values)}
    return StrategyView(now, (ANY,), features=row, situation=Situation(session, money, money, {}, 0))
