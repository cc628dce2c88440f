"""Call what `serve` runs every second, in this thread or in one for each lane, by a clock that nobody can set."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from jobs.runner import TICK_S
from tradebot.adapters.time.stopwatch import beats


class Lane(Protocol):
    """What runs in its own thread. It opens what belongs to a thread at its first tick."""

    def tick(self) -> None:
        """Run what is due."""

    def close(self) -> None:
        """Close what was opened."""


def tick_until(tick: Callable[[], None], over: Callable[[], bool], every_s: float = TICK_S) -> None:
    """Call `tick` every `every_s` real seconds in this thread until `over` returns True.

    Ticks that fall due during a long tick are skipped. An exception in a tick is raised here.
    """
    for _ in beats(every_s):
        tick()
        if over():
            return


def tick_lanes(lanes: Mapping[str, Lane], over: Callable[[], bool], every_s: float = TICK_S) -> None:
    """Call each lane's tick every `every_s` real seconds, each in its own thread, until `over` returns True.

    This thread only waits, so that it hears signals. Passes that are running then are finished, each thread closes
    what only it may close, and an exception in a tick is raised here.
    """
    ended = threading.Event()

    def run(lane: Lane) -> None:
        try:
            for _ in beats(every_s, ended.wait):
                if ended.is_set():
                    return
                lane.tick()
                if over():
                    return
        finally:
            ended.set()
            lane.close()

    with ThreadPoolExecutor(len(lanes)) as pool:
        running = [pool.submit(run, lane) for lane in lanes.values()]
        ended.wait()
    for lane in running:
        lane.result()
