"""`tradebot evaluate-exits`: close positions whose exit rules are met, and cancel old orders; also while halted."""

from typing import TYPE_CHECKING

from commands.shared.declaration import NOT_RUN, PASS, VerbPurpose, changes_trading
from commands.shared.verb_options import DryRun, ForceSlot, Report, caller, on_bot, opened_to_leave

if TYPE_CHECKING:
    from tradebot.app.wiring import App


@on_bot(
    "evaluate-exits",
    VerbPurpose.TRADE,
    50,
    {"evaluate-exits/1": (PASS, NOT_RUN)},
    epilog="tradebot evaluate-exits --dry-run\ntradebot evaluate-exits",
    opens=opened_to_leave,
)
@changes_trading
def evaluate_exits(bot: "App", dry_run: DryRun = False, force_slot: ForceSlot = False) -> Report:
    """Close positions whose exit rules have triggered.

    Also cancels orders that have been working too long. Runs while halted too.
    """
    from commands.evaluate_exits.run import run

    return run(bot, by=caller(), force_slot=force_slot, dry_run=dry_run, noted=True)
