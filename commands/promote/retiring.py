"""Run `tradebot retire`: let a policy's rule act in place of its models."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commands.config.current_config import store_accepted
from commands.config.set_value import run as set_values
from commands.promote.run import require_digest
from commands.shared.verb_options import Report, caller, confirm_for, identity, open_bot
from tradebot.adapters.models.signing import require_extra
from tradebot.app.baseline import differences, effective, origin_of
from tradebot.app.learned_settings import remove_learned
from tradebot.app.loading import Options, user_file
from tradebot.app.settings import ENVIRONMENT
from tradebot.errors import ExitCode, OperatorError
from tradebot.learning.ensemble import PolicyMode
from tradebot.model.trading import Mode
from tradebot.strategies.policy import PolicySettings
from tradebot.strategies.settings import POLICY

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.trading import Baseline, Difference

KEYS = ("mode", "models", "evaluation", "shadow")
"""The settings of a policy that change when its rule takes over."""


class Retired(Struct, frozen=True):
    """A policy whose rule now acts in place of its models.

    `needs_promotion` is True in a live bot, where its entries wait until it is promoted again.
    """

    strategy: str
    needs_promotion: bool


def retire_policy(name: str, confirmed: str | None, state_dir: str | None, config: str | None) -> Report:
    """Let a policy's rule act, once the account's tail is typed: change the configuration, and accept the change.

    If the process is killed between these two steps, entries stay blocked until the same command is run again. Raise
    OperatorError: exit 2 if the strategy isn't a policy with a rule or its rule acts already, 3 if the environment sets
    one of these settings or the strategy was never accepted.
    """
    with open_bot(state_dir, config) as bot:
        if _policy(bot, name).mode is PolicyMode.RULE and not _changes(bot, name)[1]:
            raise OperatorError(f"{name} already trades by its rule", f"tradebot config show strategies.{name}")
        _require_own_file(bot, name, config)
        confirm_for(bot, confirmed, what=f"Letting {name} trade by its rule", command=f"tradebot retire {name}")
        folder = str(bot.folder.path)
        # First, because the models act as long as the file of a walk counts over the bot's own configuration.
        remove_learned(bot, name)
        set_values(folder, config, _values(name), dry_run=False)
    with open_bot(folder, config) as bot:
        before, changes = _changes(bot, name)
        store_accepted(bot, _with_section(bot, name, before), before, changes, by=caller())
        return Report("retire", Retired(name, bot.mode is Mode.LIVE), _render, bot_identity=identity(bot))


def _policy(bot: "App", name: str) -> PolicySettings:
    require_digest(bot, name)
    require_extra(f"strategies.{name}")
    if bot.settings.strategies.installed_as()[name] == POLICY:
        policy = PolicySettings.model_validate(bot.settings.strategies.in_use()[name])
        if policy.rule is not None:
            return policy
    raise OperatorError(
        f"{name} isn't a learned policy with a rule to trade by instead",
        f"stop its entries instead: tradebot config set strategies.{name}.shadow true",
    )


def _values(name: str) -> list[str]:
    return [f"strategies.{name}.mode", PolicyMode.RULE.value, f"strategies.{name}.shadow", "false"]


def _require_own_file(bot: "App", name: str, config: str | None) -> None:
    own = user_file(Options(str(bot.folder.path)), bot.folder.path, os.environ)
    if config is not None and (own is None or Path(config).resolve() != own.resolve()):
        raise OperatorError(
            "retire changes the bot's own configuration, so it can't use another one", f"tradebot retire {name}"
        )
    for key in ("mode", "shadow"):
        origin = origin_of(bot.loaded.origins, f"strategies.{name}.{key}")
        if origin.startswith(ENVIRONMENT):
            raise OperatorError(
                f"strategies.{name}.{key} comes from the {origin}, so nothing was changed",
                f"unset it; then: tradebot retire {name}",
                code=ExitCode.REFUSED,
            )


def _changes(bot: "App", name: str) -> "tuple[Baseline, tuple[Difference, ...]]":
    """Return the accepted configuration, and those settings of a policy in KEYS that differ from it.

    Raise OperatorError, exit 3, if the strategy was never accepted.
    """
    accepted = bot.ledger_view.baselines.last()
    if accepted is None or not accepted.values["strategies"].get(name):
        raise OperatorError(
            f"strategies.{name} was never accepted, so nothing was changed",
            "tradebot config accept",
            code=ExitCode.REFUSED,
        )
    own = {f"strategies.{name}.{key}" for key in KEYS}
    changes = differences(bot.settings, accepted, bot.loaded.origins)
    return accepted, tuple(row for row in changes if row.name in own)


def _with_section(bot: "App", name: str, accepted: "Baseline") -> dict[str, Any]:
    """Return the accepted values with the policy's present settings in KEYS; other differences remain unaccepted."""
    strategies, now = accepted.values["strategies"], effective(bot.settings)["strategies"][name]
    others = {key: value for key, value in strategies[name].items() if key not in KEYS}
    section = {**others, **{key: now[key] for key in KEYS if key in now}}
    return {**accepted.values, "strategies": {**strategies, name: section}}


def _render(out: "Console", data: Retired) -> None:
    out.print(
        f"From the next pass on, {data.strategy} trades by its rule. Its positions keep their stops.", markup=False
    )
    if data.needs_promotion:
        out.print(
            f"With real money, its entries wait for a promotion: tradebot promote {data.strategy} shows what it lacks.",
            markup=False,
        )
    out.print("  a running serve keeps its old configuration until you reload it", style="dim")
