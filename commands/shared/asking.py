"""Ask the strategies before the pass lock is taken, so that a slow one delays no exit.

The strategies are asked from the facts known then, unless the slot is taken or the session is closed. Their candidates
are judged on the snapshot taken under the lock, and expire after `limits.max_candidate_age_s`. A bug in a strategy ends
the pass under the lock, so that its slot is used up and its record says why.
"""

from types import TracebackType

from msgspec import Struct

from commands.shared.missed import entry_grace_s
from commands.shared.passes import unfinished
from jobs.claims import Refused, claim
from tradebot.app.wiring import App
from tradebot.desk.proposals import Proposals, propose
from tradebot.errors import DamagedBooksError
from tradebot.model.bar import VenueClock
from tradebot.model.record import Job
from tradebot.ports.world import World
from tradebot.timetable.sessions import session_of


class Asked(Struct):
    """What the strategies answered, if they were asked; used as a context around the asking.

    An error there is kept, and raised when the answer is needed: inside the pass, which records why it ended and
    halts the bot if it was a bug.
    """

    proposed: "Proposals | None" = None
    failed: Exception | None = None

    def __enter__(self) -> "Asked":
        """Nothing was answered yet."""
        return self

    def __exit__(self, _kind: object, failed: BaseException | None, _trace: TracebackType | None) -> bool:
        """Keep an error for later, but not a signal."""
        if isinstance(failed, Exception):
            self.failed = failed
        return failed is self.failed is not None

    def __bool__(self) -> bool:
        """Return True if the strategies were asked, or if that failed."""
        return bool(self.proposed or self.failed)

    def answer(self) -> "Proposals":
        """Return the candidates, none if nobody was asked; raise the error that ended the asking."""
        if self.failed:
            raise self.failed
        return self.proposed or Proposals((), ())


def asking_world(app: "App", verb: str, *, dry_run: bool = False, proposing: bool = True) -> "World":
    """Return a world in which the strategies can be asked without the pass lock.

    Damaged books are left to the check under the lock, which halts the bot and says where the books are now.
    """
    try:
        return app.world(dry_run=dry_run, proposing=proposing, asking=True)
    except DamagedBooksError:
        with app.pass_lock(verb):
            raise


def ask_if_due(
    app: "App", world: "World", clock: "VenueClock", *, force: bool = False, dry_run: bool = False, part: str = ""
) -> Asked:
    """Ask the strategies unless the session is closed or the slot is taken; the caller holds no lock.

    The world's ledger is only read. If it can't be read, the pass itself will say more.
    """
    with Asked() as asked:
        if _due(app, world, clock, force=force, dry_run=dry_run, part=part):
            # A dry run asks everyone, whatever their own clocks say.
            entries = None if dry_run else app.settings.timetable[Job.TRADE_ONCE]
            asked.proposed = propose(world, clock.now, entries)
    return asked


def _due(app: "App", world: "World", clock: "VenueClock", *, force: bool, dry_run: bool, part: str) -> bool:
    """Return True if a pass would get its slot now, in an open session; whether clocks agree is for the pass to say."""
    if not clock.is_open:
        return False
    session = session_of(world.ledger, clock.now)
    if session is None and not dry_run:
        # The broker is open, so the calendar may not reach this day yet.
        with app.pass_lock("trade-once"):
            app.ensure_calendar(clock.now)
        session = session_of(world.ledger, clock.now)
    if session is None or not session.contains(clock.now):
        return False
    call = claim(
        world.ledger,
        app.settings.timetable,
        Job.TRADE_ONCE,
        clock.now,
        "",
        force=force,
        dry_run=dry_run,
        look=True,
        part=part,
        grace_s=entry_grace_s(app),
        unfinished=lambda taken: unfinished(app, taken, clock.now),
    )
    return not isinstance(call, Refused)
