"""`tradebot learn policy judge`: measure what a policy's models would have earned recently, to choose among them."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.learn.policy.train import planned_for
from commands.shared.light_helpers import Identity, clean
from commands.shared.tables import Table, number
from commands.shared.verb_options import Report, progress_bar
from tradebot.adapters.models.files import read_model
from tradebot.adapters.models.process import read_results
from tradebot.adapters.models.signing import require_extra
from tradebot.adapters.plugins.process import NoValidReplyError
from tradebot.adapters.state.state_folder import write_durably
from tradebot.app.policy import model_storage
from tradebot.errors import OperatorError
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.learning.training.training_rows import EVERY
from tradebot.lab.learning.walking.evaluation import Signed, judged_model
from tradebot.lab.performance.statistics import total_return
from tradebot.model.sentences import pluralize
from tradebot.strategies.policy import PolicySettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from commands.backtest.run_options import BacktestOptions


class ModelEarned(Struct, frozen=True):
    """A model's number of trades and its total profit in these sessions, as a fraction of the equity at their start."""

    model: str
    name: str
    sessions: int
    total: float
    trades: int


class PolicyJudged(Struct, frozen=True):
    """The results of a policy's models in sessions that none of them was trained on, and the file that stores them."""

    strategy: str
    first: date
    last: date
    models: tuple[ModelEarned, ...]
    file: str


def run(strategy: str, symbol: str | None, write: Path | None, wish: "BacktestOptions") -> Report:
    """Backtest each of a policy's models, and add its profit by session to the file of results."""
    require_extra("judging models")
    planned = planned_for(wish, symbol, strategy, {})
    own = PolicySettings.model_validate(planned.plan.settings.strategies.in_use()[strategy])
    model_location = model_storage(own)
    file = write or model_location.results
    if not own.models:
        raise OperatorError(
            f"strategies.{strategy} names no models", "train and sign some: tradebot learn policy train --help"
        )
    if file is None:
        raise OperatorError(
            "no file is configured for the results", f"set strategies.{strategy}.results, or add --write FILE"
        )
    calendar = planned.market.calendar
    days = [session_of(session).date for session in calendar.market]
    before = [day for day in (date.fromisoformat(session.date) for session in calendar.all) if day < days[0]]
    embargo = planned.plan.settings.promotion.splits.embargo_sessions
    cards = {model: read_model(model_location.folder, model, model_location.public).card for model in own.models}
    for model, card in cards.items():
        require_embargo(model, max((span.last for span in card.data), default=date.min), days, before, embargo)
    results, signed = _read_results(file), Signed(model_location.folder, model_location.public)
    rows = list[ModelEarned]()
    with progress_bar("playing models") as progress:
        for done, (model, card) in enumerate(cards.items()):
            progress(done, len(cards))
            judged = judged_model(planned.plan, strategy, signed, model, EVERY)
            earned = dict(zip(map(str, judged.sessions), judged.returns, strict=True))
            _require_same(model, results.get(model, {}), earned)
            results[model] = dict(sorted({**results.get(model, {}), **earned}.items()))
            rows.append(ModelEarned(model, card.name, len(earned), total_return(judged.returns), judged.trades))
    write_durably(file, json.dumps(results, indent=1) + "\n")
    data = PolicyJudged(strategy, days[0], days[-1], tuple(rows), str(file))
    return Report("learn-policy-judge", data, _render, bot_identity=Identity("sandbox", planned.plan.settings.venue))


def require_embargo(model: str, last: date, days: "Sequence[date]", before: "Sequence[date]", embargo: int) -> None:
    """Raise OperatorError unless enough sessions, the embargo, separate a model's training from `days`."""
    between = [day for day in before if day > last]
    if last < days[0] and (len(between) >= embargo or last < min(before, default=date.min)):
        return
    later = [*between, *(day for day in days if day > last)][embargo:]
    raise OperatorError(
        f"model {model} was trained on sessions up to {last}, and {pluralize(embargo, 'session')} after that can't "
        "be used either (promotion.splits.embargo_sessions)",
        f"judge it later: --from {later[0] if later else last + timedelta(days=1 + embargo)}",
    )


def _require_same(model: str, past: "Mapping[str, float]", earned: "Mapping[str, float]") -> None:
    """Raise OperatorError if a known session was evaluated on another market, or with other costs."""
    if other := [day for day, value in earned.items() if past.get(day, value) != value]:
        raise OperatorError(
            f"model {model} earned {earned[other[0]]:+.2%} on {other[0]}, but the results file says "
            f"{past[other[0]]:+.2%}, from a different market or with different costs",
            "use the same options as before, or name another file: --write FILE",
        )


def _read_results(file: Path) -> dict[str, dict[str, float]]:
    """Return the contents of the file of results.

    Raises OperatorError if it can't be read, because nothing in it may be lost.
    """
    if not file.exists():
        return {}
    try:
        results = read_results(file)
    except NoValidReplyError as error:
        raise OperatorError(
            f"{file} can't be read as results of models: {error.decision.observed}", "move it away, or --write FILE"
        ) from error
    return {model: {str(row.session): row.earned for row in rows} for model, rows in results.items()}


def _render(out: "Console", data: PolicyJudged) -> None:
    out.print(f"The models of {clean(data.strategy)} from {data.first} to {data.last}", markup=False)
    table = Table("model", "name", number("sessions"), number("return"), number("trades"))
    for model in data.models:
        table.row(model.model, clean(model.name), f"{model.sessions:,}", f"{model.total:+.2%}", f"{model.trades:,}")
    out.print(table)
    out.print(f"Written: {data.file}", markup=False)
    out.print("From the next session on, the weights and the choice of model are based on this file.")
