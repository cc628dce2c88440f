"""Run `tradebot retire`: let a policy's rule act in its models' place."""

from typing import TYPE_CHECKING

from msgspec import Struct

from commands.config.current_config import accept_now
from commands.config.set_value import run as set_values
from commands.promote.run import require_digest
from commands.shared.verb_options import Report, caller, confirm_for, identity, open_bot
from tradebot.adapters.models.signing import require_extra
from tradebot.app.baseline import differences
from tradebot.app.learned_settings import remove_learned
from tradebot.errors import ExitCode, OperatorError
from tradebot.learning.ensemble import PolicyMode
from tradebot.model.trading import Mode
from tradebot.strategies.policy import PolicySettings
from tradebot.strategies.settings import POLICY

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.trading import Difference


class Retired(Struct, frozen=True):
    """A policy whose rule acts in its models' place; with real money, its entries wait until it `needs_promotion`."""

    strategy: str
    needs_promotion: bool


def retire_policy(name: str, confirmed: str | None, state_dir: str | None, config: str | None) -> Report:
    """Let a policy's rule act once the account's tail is typed: write that into the configuration, and accept it.

    A kill between the steps leaves entries blocked until a person accepts. Raise OperatorError: exit 2 if the strategy
    is no policy with a rule or its rule acts already, 3 if anything else differs from the accepted configuration.
    """
    with open_bot(state_dir, config) as bot:
        if _policy(bot, name).mode is PolicyMode.RULE:
            raise OperatorError(f"the rule of {name} acts already", f"tradebot config show strategies.{name}")
        _require_others_accepted(bot, name)
        confirm_for(bot, confirmed, what=f"Letting the rule of {name} act", command=f"tradebot retire {name}")
        folder = str(bot.folder.path)
        set_values(folder, config, _values(name), dry_run=False)
        remove_learned(bot, name)
    with open_bot(folder, config) as bot:
        section = bot.settings.strategies.sections()[name]
        if _policy(bot, name).mode is not PolicyMode.RULE or section.shadow is not False:
            raise OperatorError(
                f"the environment sets strategies.{name}, and so its rule doesn't act",
                f"tradebot config show strategies.{name} --origin",
                code=ExitCode.REFUSED,
            )
        accept_now(bot, _require_others_accepted(bot, name), by=caller())
        return Report("retire", Retired(name, bot.mode is Mode.LIVE), _render, bot_identity=identity(bot))


def _policy(bot: "App", name: str) -> PolicySettings:
    require_digest(bot, name)
    require_extra(f"strategies.{name}")
    if bot.settings.strategies.installed_as()[name] == POLICY:
        policy = PolicySettings.model_validate(bot.settings.strategies.in_use()[name])
        if policy.rule is not None:
            return policy
    raise OperatorError(
        f"{name} has no models and no rule that could act in their place",
        f"stop its entries instead: tradebot config set strategies.{name}.shadow true",
    )


def _values(name: str) -> list[str]:
    return [f"strategies.{name}.mode", PolicyMode.RULE.value, f"strategies.{name}.shadow", "false"]


def _require_others_accepted(bot: "App", name: str) -> "tuple[Difference, ...]":
    """Return what differs from the accepted configuration; raise OperatorError if accepting it would loosen more than
    this policy.
    """
    accepted = bot.ledger_view.baselines.last()
    own = {f"strategies.{name}.{key}" for key in ("mode", "models", "evaluation", "shadow")}
    changes = differences(bot.settings, accepted, bot.loaded.origins) if accepted else None
    others = None if changes is None else [row.name for row in changes if row.looser and row.name not in own]
    if others is None or others:
        also = "no configuration was accepted yet" if others is None else f"{', '.join(others)} would be accepted too"
        raise OperatorError(f"nothing was changed: {also}", "tradebot config accept", code=ExitCode.REFUSED)
    return changes or ()


def _render(out: "Console", data: Retired) -> None:
    out.print(f"The rule of {data.strategy} acts from the next pass on. Its positions keep their stops.", markup=False)
    if data.needs_promotion:
        out.print(f"With real money, its entries wait: tradebot promote {data.strategy} shows for what.", markup=False)
    out.print("  a running serve keeps the configuration that it read last: reload it", style="dim")
