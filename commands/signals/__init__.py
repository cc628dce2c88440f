"""`tradebot signals`: the health of each signal, judged from the bot's own records."""

from typing import TYPE_CHECKING

from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import Report, on_bot
from tradebot.errors import ExitCode

if TYPE_CHECKING:
    from tradebot.app.wiring import App


def run(app: "App") -> Report:
    """Evaluate every signal in use; exit 10 if one has a problem."""
    from commands.signals.signal_inputs import read, show

    data = read(app)
    code = ExitCode.FINDINGS if data.findings else ExitCode.DONE
    return Report("signals", data, show, code)


@on_bot(
    "signals",
    VerbPurpose.LOOK,
    210,
    {"signals/2": ("tradebot.judging.signal_health:SignalsHealth",)},
    epilog="tradebot signals\ntradebot signals --json",
)
def signals(bot: "App") -> Report:
    """Show how healthy each signal is.

    Where a source differs from its documentation, an example is shown. A signal is HEALTHY, DEGRADED (usable, but
    something is wrong), CRITICAL (not usable), or UNKNOWN (no evidence, for example while the market is closed). Only
    the bot's own records are read. Exits with code 10 if a person should look.
    """
    return run(bot)
