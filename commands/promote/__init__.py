"""`tradebot promote`: show the evidence that a strategy still lacks, and move it to another rung."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import strategies
from commands.shared.declaration import VerbPurpose, changes_trading, verb
from commands.shared.verb_options import AccountTail, Config, Json, Report, StateDir, finish, on_bot
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from tradebot.app.wiring import App

Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="The strategy [all of them].", autocompletion=strategies)
]
Folder = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="DIR", help="Also count this folder's evidence, if the strategy has the same hash there."
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="RUNG", help="Move the strategy to this rung: the next one, or a lower one."),
]
WithoutEvidence = Annotated[
    bool,
    typer.Option(
        "--without-evidence", help="Promote without evidence. You type a sentence, and every later report repeats it."
    ),
]
Results = Annotated[
    list[Path] | None,
    typer.Option("--results", metavar="FILE", help="Evaluate a learned policy by its results; may be repeated."),
]


@on_bot(
    "promote",
    VerbPurpose.OPERATE,
    90,
    {"promote/1": ("commands.promote.report:Promotions", "commands.promote.report:PoliciesJudged")},
    epilog="tradebot promote\ntradebot promote flow --from ../paper\ntradebot promote flow --to paper\n"
    "tradebot promote --results ppo.json --results sac.json",
)
@changes_trading
def promote(
    bot: "App",
    name: Name = None,
    folder: Folder = None,
    to: To = None,
    without_evidence: WithoutEvidence = False,
    results: Results = None,
    by_itself: Annotated[
        bool,
        typer.Option(
            "--by-itself", help="Promote strategies with shadow: until_promoted, if promotion.by_itself allows it."
        ),
    ] = False,
    confirmed: AccountTail = None,
) -> Report:
    """Show what a strategy still has to prove, and promote it.

    Strategies climb from candidate to shadow, paper, live small and live. Shows each condition of the next rung with
    its number, and by when it could be met; exits with code 10 if one isn't met. With --to, promotes a strategy to that
    rung if all conditions are met; demoting it requires none. With --results, shows learned policies, whether or not
    they are in use: their seeds, their benchmarks and each condition for paper; exits with code 10 if none passes. With
    --by-itself, which a chore can run, promotes each strategy with `shadow: until_promoted` that meets every condition;
    promotion.by_itself must be paper.
    """
    from commands.promote import by_results, report, run

    if by_itself:
        if name is not None or to is not None or folder or without_evidence or results:
            raise OperatorError(
                "--by-itself can't be combined with a strategy, --to, --from, --results or --without-evidence",
                "tradebot promote --by-itself",
            )
        return by_results.promote_by_itself(bot)
    if results:
        if name is not None or to is not None or folder or without_evidence:
            raise OperatorError(
                "--results only evaluates files, so it can't be combined with other options",
                "tradebot promote --results FILE",
            )
        return report.judge_policies(bot, results)
    if name is None:
        if to is not None or folder or without_evidence:
            raise OperatorError("name the strategy", "tradebot promote shows all of them")
        return run.run(bot, None, None)
    if to is None:
        if without_evidence:
            raise OperatorError("--without-evidence needs a rung", f"tradebot promote {name} --to live")
        return run.run(bot, name, folder)
    rung = run.rung_named(to)
    if without_evidence:
        return run.override(bot, name, rung)
    if rung.step < run.row_of(bot, name).rung.step or run.revokes_lapsed(bot, name, rung):
        return run.put_down(bot, name, rung)
    return run.promote_strategy(bot, name, rung, folder, confirmed)


@on_bot(
    "demote", VerbPurpose.OPERATE, 100, {"demote/1": ("commands.promote.report:Promotions",)}, epilog="tradebot demote"
)
def demote(bot: "App") -> Report:
    """Demote strategies that earn less than expected.

    Compares the sessions since each promotion to real money, or to paper from `shadow: until_promoted`, with the
    interval that it was based on. Entries of a strategy that earned clearly less are refused from then on; its
    positions keep their stops and exits. Exits with code 10 if a strategy was demoted or can't be judged. The timetable
    of a live bot runs it after each session.
    """
    from commands.promote.by_results import review

    return review(bot)


@verb(
    "retire",
    VerbPurpose.OPERATE,
    105,
    {"retire/1": ("commands.promote.retiring:Retired",)},
    epilog="tradebot retire policy\ntradebot retire policy --confirm 4321  # the account's last four characters",
)
@changes_trading
def retire(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The policy.", autocompletion=strategies)],
    confirmed: AccountTail = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let a policy's rule decide instead of its models.

    Writes strategies.NAME.mode: rule and shadow: false into your configuration, and accepts that and nothing else. Its
    positions keep their stops, and the rule decides about them from the next pass on.
    """
    from commands.promote.retiring import retire_policy

    finish(retire_policy(name, confirmed, state_dir, config), as_json)
