"""Search what would have let refused candidates of a recorded pass through; the pass is decided again for it."""

from collections.abc import Sequence
from math import inf

from tradebot.app.advising import Advising, said_of
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.model.record import CycleRecord
from tradebot.replaying.answering import Stored
from tradebot.replaying.passes import read_record
from tradebot.replaying.writing import RecordError
from tradebot.views.advised import Advised, by_gates_alone, unsearched

WORK = 20_000
"""How many candidates may be proposed or decided on, before advice about a whole pass is left at what was found."""
TOO_MANY = "the pass has too many candidates; tradebot why-no-orders SYMBOL searches one of them"


class NotKeptError(RecordError):
    """Raised for a pass of which no record is kept, as of one long ago."""


def advice_on(app: App, pass_id: str, strategy: str, symbol: str) -> Advised:
    """Return what would have let a refused candidate through; without its record, a sentence that says so."""
    whose = strategy, symbol
    try:
        advising = _opened(app, pass_id, app.stored)
        if whose in advising.entries:
            return advising.told(whose, app.settings)
        return unsearched(whose, "nothing was to be opened")
    except RecordError as error:
        return unsearched(whose, str(error))


def advice_in(app: App, cycle: CycleRecord) -> Sequence[Advised]:
    """Return what would have let each refused candidate of a pass through, the smallest change first.

    Only settings that gates and filters read are tried: what shapes a strategy's proposals takes longer than a person
    waits for, with many candidates.
    In a pass with very many candidates, only those are looked at that the fewest questions refuse; the others say so.
    One without symbol says why there is no other.
    """
    try:
        advising = _opened(app, cycle.id, None)
    except NotKeptError:
        return ()
    except RecordError as error:
        return (unsearched(("", ""), str(error)),)
    refused = {whose: said_of(one).failed for whose, one in advising.entries.items() if not said_of(one).through}
    found = list[tuple[float, Advised]]()
    for whose in sorted(refused, key=lambda one: len(refused[one])):
        if advising.work > WORK:
            found.append((inf, unsearched(whose, TOO_MANY)))
            continue
        told = advising.told(whose, app.settings)
        found.append((advising.of(whose).size, told if told.changes else by_gates_alone(whose)))
    return [one for _, one in sorted(found, key=lambda each: (not each[1].changes, each[0]))]


def _opened(app: App, pass_id: str, stored: Stored | None) -> Advising:
    try:
        found = app.passes.record(pass_id)
        if found is None:
            raise NotKeptError("what the pass read isn't kept")
        advising = Advising(read_record(*found, {}), stored)
    except NotKeptError:
        raise
    except RecordError as error:
        raise RecordError(f"the pass can't be decided again, because {error}") from error
    except OperatorError as damaged:
        raise RecordError("the records of passes can't be read; tradebot health says what to do") from damaged
    if advising.decided({}) is None:
        raise RecordError("this program can't decide the pass again")
    return advising
