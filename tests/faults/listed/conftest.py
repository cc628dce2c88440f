"""One bot a module, as the tests of the command line have it, and a scripted server for the tests of the wire."""

from tests.adapters.conftest import wire
from tests.faults.listed.ground import at_a_point, lies, stage, trader
from tests.kit.bot.fixtures import bot, copy, folder, new_bot

__all__ = ["at_a_point", "bot", "copy", "folder", "lies", "new_bot", "stage", "trader", "wire"]
