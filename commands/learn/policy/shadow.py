"""Put the model of a walk into shadow, where the policy decides but none of its entries is sent."""

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.promote.run import gather_evidence
from commands.shared.verb_options import open_bot
from tradebot.adapters.models.signing import public_key_text, read_key
from tradebot.app.learned_settings import put_learned
from tradebot.app.policy import model_storage
from tradebot.app.shadow_strategies import count_open_positions
from tradebot.errors import OperatorError, word
from tradebot.lab.learning.walking.splits import newest_sessions
from tradebot.lab.learning.walking.walk import RESULTS, train_model
from tradebot.lab.selection.promotion import conditions
from tradebot.model.promotion import Rung
from tradebot.model.sentences import pluralize
from tradebot.strategies.policy import PolicySettings
from tradebot.strategies.settings import POLICY

if TYPE_CHECKING:
    from commands.backtest.run_options import BacktestOptions
    from tradebot.app.wiring import App
    from tradebot.lab.learning.training.job import TrainingJob
    from tradebot.lab.learning.walking.walk import Walk


class WalkPostponed(Struct, frozen=True):
    """A policy that isn't trained yet, because its current model stays in shadow; `why` says why it stays."""

    strategy: str
    why: str


def shadow_occupied(name: str, key: Path, wish: "BacktestOptions") -> str:
    """Return why a policy keeps its current model in shadow; empty if another model may replace it.

    A model stays at least for the number of sessions that promotion to paper requires, and after that as long as it
    meets every condition for paper. Raise OperatorError, before any training, if the strategy isn't a policy in shadow,
    or if this key doesn't sign its models.
    """
    with open_bot(wish.state_dir, wish.config) as bot:
        if _is_promoted(bot, name):
            return f"{name} was promoted, and trades with the model that it has."
        if not _policy_in_shadow(bot, name, key).models:
            return ""
        evidence = gather_evidence(bot, name)
        if evidence.last is not None and evidence.last.why:
            return ""
        rules, count = bot.settings.promotion, len(evidence.evidence.returns)
        if count < (needed := rules.paper.sessions or 0):
            return (
                f"the model of {name} in shadow has {count} of the {pluralize(needed, 'session')} that paper requires."
            )
        is_ready = all(condition.met for condition in conditions(evidence.evidence, rules, Rung.PAPER))
        return f"the model of {name} in shadow meets every condition for paper." if is_ready else ""


def put_in_shadow(of: "Walk", job: "TrainingJob", trials: int, key: Path, wish: "BacktestOptions") -> str:
    """Train a model on the newest sessions, sign it, give it to the policy in shadow, and return its name.

    A person may change the policy during the training, so the policy is checked again before it gets the model.
    """
    with open_bot(wish.state_dir, wish.config) as bot:
        models = model_storage(_policy_in_shadow(bot, of.name, key)).folder
    spans = [newest_sessions(of.plan.settings.promotion.splits, of.market)]
    model = train_model(of, "newest", job, spans, trials, models)
    # Nobody promotes it, and no pass trades, between this check and its new model.
    with (
        open_bot(wish.state_dir, wish.config) as locking,
        locking.pass_lock("learn policy walk"),
        open_bot(wish.state_dir, wish.config) as bot,
    ):
        _policy_in_shadow(bot, of.name, key)
        put_learned(bot, of.name, {"mode": "inference", "models": [model], "evaluation": str(of.folder / RESULTS)})
    return model


def _is_promoted(bot: "App", name: str) -> bool:
    """Return True if a strategy that was in shadow until it was promoted trades now."""
    if name not in bot.settings.strategies.until_promoted() or bot.settings.shadow:
        return False
    return bool(bot.reached_rungs[name].share) if bot.reached_rungs else name not in bot.awaiting_promotion


def _policy_in_shadow(bot: "App", name: str, key: Path) -> PolicySettings:
    section = bot.settings.strategies.sections().get(name)
    if section is None or bot.settings.strategies.installed_as()[name] != POLICY:
        raise OperatorError(f"this bot has no policy {word(name)} in use", "name one: --strategy NAME")
    if not section.shadow or _is_promoted(bot, name):
        raise OperatorError(
            f"{name} isn't in shadow, and a walk never replaces the models that a policy trades with",
            f"tradebot config set strategies.{name}.shadow true; or name a policy that is in shadow: --strategy NAME",
        )
    if positions := count_open_positions(bot, name):
        raise OperatorError(
            f"{name} still has {pluralize(positions, 'position')} at the broker, and a new model would close them",
            "walk again once they are closed: tradebot positions",
        )
    own, public = PolicySettings.model_validate(bot.settings.strategies.in_use()[name]), public_key_text(read_key(key))
    if own.public_key != public:
        raise OperatorError(
            f"strategies.{name}.public_key doesn't match {key}, so the bot would refuse models signed with it",
            f"set strategies.{name}.public_key: {public}; then: tradebot config accept",
        )
    return own
