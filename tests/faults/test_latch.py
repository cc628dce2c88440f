"""Halting and ending a halt, killed, looked at, or failing at each of their points: nothing but a whole unhalt arms."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kit import ledgers
from tests.kit.bot.stage import DIED, Child, Turn, together
from tests.kit.fakes.failpoints import hooked
from tests.kit.rows import minutes
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch
from tradebot.errors import OperatorError
from tradebot.model.trading import TradingState, TradingStateRecord

ACTIVE, REDUCE_ONLY, FLATTEN = TradingState.ACTIVE, TradingState.REDUCE_ONLY, TradingState.FLATTEN
Act = Callable[[Path], None]


def written(folder: Path, state: TradingState, who: str = "ann") -> None:
    with closing(SqliteLedger.open(folder)) as ledger:
        ledger.set_trading_state(TradingStateRecord(state, who, "a test", minutes(20)))


def unhalt(folder: Path) -> None:
    written(folder, ACTIVE, "ada")


def halt(folder: Path) -> None:
    written(folder, REDUCE_ONLY)


def flatten(folder: Path) -> None:
    written(folder, FLATTEN)


def touched(folder: Path) -> None:
    (folder / "HALT").touch()


def a_filled_folder(folder: Path) -> None:
    (folder / "HALT").mkdir()
    (folder / "HALT" / "note").write_text("do not trade")


def flatten_by_file(folder: Path) -> None:
    """Halt where the history cannot be written: only HALT says that everything is to be closed."""
    halt_switch.halt(folder, "ann", "a test", minutes(20), "FLATTEN")


def flatten_by_history(folder: Path) -> None:
    """Halt where neither file can be changed."""
    with closing(SqliteLedger.open(folder)) as ledger:
        ledger.history.record("FLATTEN", "ann", "a test", minutes(20))


def unhalt_another(folder: Path) -> None:
    """End a halt that was shown, although another came since."""
    shown = halt_switch.halt_stat(folder)
    os.utime(folder / "HALT", ns=(0, 0))
    assert not halt_switch.lift(folder, shown)


class Case(NamedTuple):
    """What a folder is halted by, and what is done to it then."""

    before: Act
    act: Act
    least: TradingState = REDUCE_ONLY
    """What is in force at every point."""


ENDED = {
    "a halt": Case(halt, unhalt),
    "a halt by hand": Case(touched, unhalt),
    "a folder of that name": Case(a_filled_folder, unhalt),
    "everything closed": Case(flatten, unhalt),
    "everything closed, by the file alone": Case(flatten_by_file, unhalt),
    "everything closed, by the history alone": Case(flatten_by_history, unhalt),
}
KEPT = {
    "a newer halt by hand": Case(touched, unhalt_another),
    "a halt over a halt by hand": Case(touched, halt),
    "a halt over a folder": Case(a_filled_folder, halt),
    "a halt over all closed": Case(flatten, halt, FLATTEN),
    "a halt over all closed by the file alone": Case(flatten_by_file, halt, FLATTEN),
    "a halt over all closed by the history alone": Case(flatten_by_history, halt, FLATTEN),
}


@pytest.fixture
def place() -> Iterator[Path]:
    """Yield a folder in memory where there is one: what is written is synced, and syncs are slow."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- its own folder is made there
    with tempfile.TemporaryDirectory(prefix="latch-", dir=memory) as folder:
        yield Path(folder)


class Failing:
    """Lets one point fail, by its number; what comes after it works again."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.failed = False

    def __call__(self, point: str) -> None:
        self._left -= 1
        if self._left == -1:
            self.failed = True
            raise OSError(errno.EIO, "the disk", point)


def in_force(folder: Path) -> TradingState:
    """Return what another process reads."""
    with closing(SqliteLedger.open(folder, read_only=True)) as ledger:
        return ledger.trading_state().state


def run_on(folder: Path, made: Path, act: Act, dies: Callable[[str], bool]) -> Turn:
    """Return an act on a copy of a folder, in a process that SIGKILL ends at a point."""
    shutil.copytree(made, folder, symlinks=True)

    def live(child: Child) -> int:
        child.arm()
        act(folder)
        return 0

    return Turn(live, dies)


def after(number: int) -> Callable[[str], bool]:
    """Return what asks for the death at the point that comes after so many others."""
    left = iter(range(number))
    return lambda point: next(left, None) is None


def kills(place: Path, case: Case) -> list[Path]:
    """Return the folder as each death leaves it, one at each point on the way."""
    made = ledgers.make(place / "made").path
    case.before(made)
    (spared,) = together([run_on(place / "spared", made, case.act, lambda point: False)])
    assert (spared.code, len(spared.points) > 6) == (0, True)
    folders = [place / str(number) for number in range(len(spared.points))]
    ends = together([run_on(folder, made, case.act, after(number)) for number, folder in enumerate(folders)])
    assert [end.points for end in ends] == [spared.points[: number + 1] for number in range(len(folders))]
    assert {end.code for end in ends} == {DIED}
    return folders


@pytest.mark.parametrize("name", ENDED)
def test_whoever_is_killed_while_ending_a_halt_leaves_it_in_force_or_has_armed_anew(name: str, place: Path) -> None:
    states = []
    for folder in kills(place, ENDED[name]):
        states.append(in_force(folder))
        assert states[-1] is not ACTIVE or halt_switch.read(folder).who == "ada"
    assert ACTIVE in states
    unhalt(folder)
    assert in_force(folder) is ACTIVE
    assert [path for path in folder.iterdir() if path.name.startswith("HALT") and path.is_file()] == []


@pytest.mark.parametrize("name", KEPT)
def test_whoever_is_killed_while_another_halt_comes_leaves_the_stricter_one(name: str, place: Path) -> None:
    case = KEPT[name]
    assert {in_force(folder) for folder in kills(place, case)} == {case.least}


@pytest.mark.parametrize("act", [halt, flatten])
def test_a_halt_holds_from_its_first_effect_on(act: Act, place: Path) -> None:
    states = [in_force(folder) for folder in kills(place, Case(lambda folder: None, act))]
    assert states[0] is ACTIVE
    assert ACTIVE not in states[1:]
    assert states[-1] is (REDUCE_ONLY if act is halt else FLATTEN)


@pytest.mark.parametrize("name", ["a halt", "a halt by hand", "a folder of that name", "a newer halt by hand"])
def test_a_sender_that_looks_while_a_halt_is_ended_finds_it_until_all_is_armed_anew(name: str, place: Path) -> None:
    folder, case = ledgers.make(place / "state").path, (ENDED | KEPT)[name]
    case.before(folder)
    found: list[tuple[str, str]] = []
    with hooked(lambda point: found.append((halt_switch.read(folder).state, halt_switch.read(folder).who))):
        case.act(folder)
    # Around the last step that arms, and around the note about the books that follows it.
    assert [who for state, who in found if state == ACTIVE] in (["ada"] * 5, [])


@pytest.mark.parametrize("name", [name for name in ENDED if "by the" in name or "by hand" in name])
def test_an_unhalt_that_fails_leaves_what_was_in_force(name: str, place: Path) -> None:
    case, failures = ENDED[name], 0
    for number in count():
        folder = ledgers.make(place / str(number)).path
        case.before(folder)
        before, failing = in_force(folder), Failing(number)
        try:
            with hooked(failing):
                unhalt(folder)
        except OperatorError:
            failures += 1
            assert in_force(folder) is before, number
        if not failing.failed:
            break
    assert failures > 10
