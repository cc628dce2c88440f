"""What `serve` does when a venue tells by itself that something has happened."""

from dataclasses import dataclass, field

from commands.serve.streaming import LATER_S, Hearing
from jobs.runner import LogLine


@dataclass
class HandBell:
    rings: int = 0
    wrong: str = ""
    closed: bool = False

    def rang(self) -> bool:
        rang, self.rings = self.rings > 0, 0
        return rang

    def problem(self) -> str:
        return self.wrong

    def close(self) -> None:
        self.closed = True


@dataclass
class HearingScene:
    bell: HandBell = field(default_factory=HandBell)
    lines: list[LogLine] = field(default_factory=list)
    now_s: float = 0
    ran: list[float] = field(default_factory=list)
    waits: bool = False

    def __post_init__(self) -> None:
        self.hearing = Hearing(self.bell, self._again, self.lines.append, lambda: self.now_s)

    def _again(self) -> bool:
        if not self.waits:
            self.ran.append(self.now_s)
        return not self.waits

    def tick(self, seconds: float = 1) -> None:
        self.now_s += seconds
        self.hearing.tick()


def test_exits_run_once_when_it_rings_and_once_more_when_ends_can_be_proven() -> None:
    scene = HearingScene()
    scene.tick()
    scene.bell.rings = 3
    for _ in range(40):
        scene.tick()
    assert scene.ran == [2, 2 + LATER_S]


def test_a_ring_is_kept_until_exits_may_run() -> None:
    scene = HearingScene(waits=True)
    scene.bell.rings = 1
    for _ in range(10):
        scene.tick()
    scene.waits = False
    scene.tick()
    scene.waits = True
    scene.tick(LATER_S)
    scene.waits = False
    scene.tick()
    assert scene.ran == [11, 11 + LATER_S + 1]


def test_another_ring_puts_the_second_look_off() -> None:
    scene = HearingScene()
    scene.bell.rings = 1
    scene.tick()
    scene.tick(LATER_S - 1)
    scene.bell.rings = 1
    scene.tick()
    scene.tick(LATER_S - 1)
    scene.tick()
    scene.tick(2 * LATER_S)
    assert scene.ran == [1, 1 + LATER_S, 1 + 2 * LATER_S]


def test_that_it_cannot_ring_is_said_once_and_so_is_that_it_can_again() -> None:
    scene = HearingScene()
    scene.tick()
    scene.bell.wrong = "Kraken Futures can't be reached"
    scene.tick()
    scene.tick()
    scene.bell.wrong = ""
    scene.tick()
    scene.hearing.close()
    assert [line.said for line in scene.lines] == [
        "Kraken Futures can't be reached; exits run by the timetable alone",
        "exits run when the venue tells again",
    ]
    assert (scene.ran, scene.bell.closed) == ([], True)
