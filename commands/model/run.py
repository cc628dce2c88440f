"""Run `tradebot model key`, `sign` and `check`: sign learned models, and check whether a bot can use them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.shared.light_helpers import clean
from commands.shared.verb_options import Report, identity
from tradebot.adapters.models.files import is_sealed, load_draft, read_model, write_model
from tradebot.adapters.models.model_folder import ModelParts, RefusedDraftError, RefusedModelError
from tradebot.adapters.models.process import good_models, self_test
from tradebot.adapters.models.signing import make_key, public_key_text, read_key, require_extra
from tradebot.adapters.plugins.plugin import PluginEnvironment
from tradebot.adapters.plugins.protocol import AnswerBounds
from tradebot.adapters.state.state_folder import MODELS
from tradebot.app.plugin_surroundings import plugin_surroundings
from tradebot.app.policy import model_storage
from tradebot.errors import ExitCode
from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.sentences import pluralize
from tradebot.model.strategy_reasons import CHECK
from tradebot.model.struct_tools import replace
from tradebot.strategies.policy import PolicySettings
from tradebot.strategies.settings import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.learning.model_card import Model

TIMEOUT_S, MEMORY_BYTES = 30.0, 2**31


class ModelKey(Struct, frozen=True):
    """A new private key's file, and the public key for the bots' configuration."""

    file: str
    public: str


class ModelSigned(Struct, frozen=True):
    """A signed model: its id, its folder, the key that signed it, and its response times in milliseconds.

    `sealed` is True if the run that made the draft listed its files; otherwise the card's contents are unverified.
    """

    id: str
    folder: str
    name: str
    public: str
    usual_ms: float
    longest_ms: float
    sealed: bool


class ModelRow(Struct, frozen=True):
    """A strategy's model, and whether it can be used; if not, the reason and details.

    `acts` is False for a model that is only recorded as the last good one. Response times are in milliseconds.
    """

    strategy: str
    id: str
    acts: bool
    name: str | None
    agent: str | None
    made_at: datetime | None
    age_days: int | None
    reason: str | None
    found: str
    next: str
    usual_ms: float | None
    longest_ms: float | None


class ModelsChecked(Struct, frozen=True):
    """The models of all policies in use."""

    models: tuple[ModelRow, ...]


def key(file: Path) -> Report:
    """Create a key pair; raise OperatorError if the file exists already."""
    require_extra("signing models")
    return Report("model-key", ModelKey(str(file), make_key(file)), _render_key)


def sign(draft: Path, key_file: Path, to: Path) -> Report:
    """Test a draft, sign it, and write it to a folder of models; raise OperatorError if it can't be used."""
    require_extra("signing models")
    private, model = read_key(key_file), load_draft(draft)
    took = self_test(model, _surroundings())
    if isinstance(took, Decision):
        raise RefusedDraftError(draft, took.reason or Reason.MODEL_FAILED, str(took.observed))
    name = write_model(to, ModelParts(model.card, model.scaling, model.probe, model.graph), private)
    usual_ms, longest_ms = map(_ms, took)
    data = ModelSigned(
        name, str(to / name), model.card.name, public_key_text(private), usual_ms, longest_ms, is_sealed(draft)
    )
    return Report("model-sign", data, _render_signed)


def check(bot: "App") -> Report:
    """Test every model of the policies in use; exit 10 if one can't be used."""
    require_extra("checking models")
    data = ModelsChecked(tuple(model_rows(bot)))
    code = ExitCode.FINDINGS if any(row.reason for row in data.models) else ExitCode.DONE
    return Report("model-check", data, _render_checked, code, identity(bot))


def model_rows(bot: "App") -> "Iterator[ModelRow]":
    """Yield the models of the policies in use, each tested now."""
    surroundings = plugin_surroundings(bot.settings, bot.folder.path, bot.environ)
    sections, noted = bot.settings.strategies.in_use(), good_models(bot.folder.path / MODELS)
    for strategy, installed in bot.settings.strategies.installed_as().items():
        if installed == POLICY:
            own = PolicySettings.model_validate(sections[strategy])
            for name in dict.fromkeys((*own.models, *noted.get(strategy, ()))):
                yield _row(strategy, name, own, surroundings)


def _row(strategy: str, name: str, own: "PolicySettings", surroundings: "PluginEnvironment") -> ModelRow:
    row = ModelRow(strategy, name, name in own.models, None, None, None, None, None, "", "", None, None)
    try:
        model = read_model(model_storage(own).folder, name, model_storage(own).public)
        tested = self_test(model, surroundings)
    except RefusedModelError as refused:
        model, tested = None, refused.decision
    row = _with_card(row, model) if model else row
    if not isinstance(tested, Decision):
        usual_ms, longest_ms = map(_ms, tested)
        return replace(row, found="signature valid, answers as stored", usual_ms=usual_ms, longest_ms=longest_ms)
    reason = tested.reason or Reason.MODEL_FAILED
    return replace(row, reason=str(reason), found=str(tested.observed), next=REASONS[reason].remedy.removeprefix(CHECK))


def _with_card(row: ModelRow, model: "Model") -> ModelRow:
    card = model.card
    age = max((datetime.now(UTC) - card.created_at).days, 0)
    return replace(row, name=card.name, agent=card.agent, made_at=card.created_at, age_days=age)


def _surroundings() -> "PluginEnvironment":
    """Return the environment in which to try a model where there may be no bot.

    Its process sees no environment variables.
    """
    return PluginEnvironment(AnswerBounds(TIMEOUT_S, MEMORY_BYTES), {}, ())


def _ms(value: float) -> float:
    return round(value, 2)


def _render_key(console: "Console", data: ModelKey) -> None:
    console.print(f"Wrote the private key to {data.file}. Only you can read it.", markup=False)
    console.print("Keep it off the bot's machine. Put the public key into each policy's section:")
    console.print(f"  public_key: {data.public}", markup=False)


def _render_signed(console: "Console", data: ModelSigned) -> None:
    console.print(f"Signed {clean(data.name)} as {data.id}, in {data.folder}", markup=False)
    if not data.sealed:
        console.print("What the model says about its training is unverified: checksums of a training run are missing")
    console.print(f"Answers took {data.usual_ms:g} ms, the longest {data.longest_ms:g} ms")
    console.print(f"Next: add {data.id} to strategies.NAME.models, then tradebot model check", markup=False)


def _render_checked(console: "Console", data: ModelsChecked) -> None:
    if not data.models:
        console.print("No learned policy is in use: docs/POLICIES.md says how to use one.")
    for row in data.models:
        words = [f"{row.strategy}: {row.id}", "" if row.acts else "the last good model"]
        words += [f"{clean(row.name)} ({clean(row.agent)})"] if row.name and row.agent else []
        words += [f"made {pluralize(row.age_days, 'day')} ago"] if row.age_days is not None else []
        console.print(", ".join(filter(None, words)), markup=False)
        if row.reason:
            console.print(f"  {row.reason}: {clean(row.found)}", style="red", markup=False)
            console.print(f"  Next: {row.next}", markup=False)
            continue
        console.print(f"  {row.found}; {row.usual_ms:g} ms an answer, the longest {row.longest_ms:g} ms", markup=False)
