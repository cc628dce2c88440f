"""Fail the n-th call of a verb, for n = 1, 2, … until none is left: on a file, inside SQLite, or to the venue.

Each bot has its number, and on a short day the call of that number fails in each verb, whatever it is: with an error
of the system that such a call may meet, once, or from then on for every call of its kind, as a full disk stays full.
The verb must end with a clear exit code and a sentence, and the next run of it must mend what was left. The days are
judged by the exchange's log, beside one in which nothing failed.

Calls on files are met at Python's own functions and in SQLite's layer over the file system, requests at the adapter of
the client library: once before they are sent, once when the answer comes and is lost. Calls of SQLite of one kind with
no other call between them are one step, and one of them fails; where every call is to be its own step, say so.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from decimal import Decimal
from functools import partial
from io import StringIO
from typing import Any

import tenacity
from tenacity import Retrying
from urllib3 import BaseHTTPResponse, HTTPConnectionPool
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from commands.shared.error_boundary import run_command
from tests.faults.kills import REFERENCE, Campaign, Line, Tally, entries, exits, reconciled
from tests.faults.play import warm_up
from tests.faults.power import damaged
from tests.kit.bot.near import Verb
from tests.kit.bot.stage import CONFIGURATION, End, Run, Stage, StageBot, set_up
from tests.kit.fakes.calls import HTTP, Call, Failing, Watcher, watch
from tests.kit.judge import account as judge
from tradebot.app.wiring import App
from tradebot.errors import ExitCode

HASTY = f"{CONFIGURATION}exits: {{time_exit_s: 60}}\n"
"""Of a bot that closes what it holds after a minute."""
CLEAR = {ExitCode.DONE, ExitCode.ERROR, ExitCode.USAGE, ExitCode.REFUSED, ExitCode.UNAVAILABLE, ExitCode.FINDINGS}
REPORTED = {ExitCode.DONE, ExitCode.REFUSED, ExitCode.FINDINGS}
"""Codes that come with a report."""
FAILING = COMPARED, ENTRIES, EXITS = ("comparison", "entries", "exits")
ONCE, LASTING = ("call", "lasting")
"""How a bot is named whose calls fail once, and one whose calls of a kind go on failing."""
NEVER = 1 << 30
SEND = HTTPConnectionPool.urlopen
WANTED = {"AAPL": "buy"}


def meet_requests(watcher: Watcher) -> None:
    """Ask the watcher before each request of the client library is sent, and before its answer is handed out."""

    def met(self: HTTPConnectionPool, method: str, url: str, *words: Any, **named: Any) -> BaseHTTPResponse:
        path = url.partition("?")[0]
        if watcher.before(Call(HTTP, "send", path)):
            raise ProtocolError("refused")
        response = SEND(self, method, url, *words, **named)
        if watcher.before(Call(HTTP, "reply", path)):
            response.close()
            raise ReadTimeoutError(self, url, "no answer")
        return response

    HTTPConnectionPool.urlopen = met  # type: ignore[method-assign]
    # Nobody waits between two tries: what is tried again is the same without.
    vars(tenacity)["Retrying"] = lambda **named: Retrying(**{**named, "sleep": lambda seconds: None})


def failing(bot: StageBot, verb: Verb, nth: int, *, lasting: bool, each: bool) -> Verb:
    """Return a verb whose n-th step fails, within the boundary that every command has; it tells what it said."""

    def run_it(app: App) -> int:
        watcher, said = Failing(nth, lasting=lasting, each=each), StringIO()
        watch(bot.folder, watcher)
        meet_requests(watcher)
        with redirect_stdout(said), redirect_stderr(said):
            code = run_command(partial(verb, app), ())
        call = watcher.failed and f"{watcher.failed.kind} {watcher.failed.name} {watcher.failed.path}"
        told = {"steps": watcher.steps, "call": call, "said": said.getvalue()}
        bot.folder.with_name(f"{bot.name}.told").write_text(json.dumps(told))
        return code

    return run_it


DAY: tuple[tuple[str, Line], ...] = (
    (COMPARED, reconciled),
    (ENTRIES, entries(WANTED)),
    ("tick", {"seconds": 120}),
    (EXITS, exits),
    ("tick", {"seconds": 60}),
    ("exits after", exits),
    ("tick", {"seconds": 360}),
    ("exits again", exits),
    ("tick", {"seconds": 60}),
    ("last exits", exits),
    ("tick", {"to": "close"}),
    ("tick", {"to": "next_open"}),
    ("tick", {"seconds": 1800}),
)


class EachCall(Campaign):
    """Short days; the bot of number n fails its n-th call on the first, and goes on with n + `count` on the next."""

    def __init__(self, stage: Stage, count: int, days: int, *, each: bool) -> None:
        super().__init__(stage, 0)
        self.tally.spans = defaultdict(list)
        self.script = (*DAY * days, ("last comparison", reconciled))
        self.steps: dict[tuple[str, int], int] = {}
        self._count = count
        self._each = each
        self._missed: set[str] = set()
        self._late: set[str] = set()

    def _judge(self, bots: list[StageBot]) -> None:
        """Judge as kills are, but for what a failure explains.

        A pass that has ended with an error has used its slot up, and has said so: an entry may be missing then, and an
        exit may have gone out with the next pass, at the price of that time.
        """
        super()._judge(bots)
        explained = [re.escape(f"{name}: ") + r"(AAPL .* is missing, |\('AAPL')" for name in self._missed]
        explained += [re.escape(f"{name}: ('AAPL', 'sell', 'close', ") + r".*'limit_price'" for name in self._late]
        known = re.compile("|".join(explained) or "(?!)")
        self.tally.problems = [problem for problem in self.tally.problems if not known.match(problem)]

    def _everybody(self, bots: list[StageBot], step: int, name: str, line: Callable[[StageBot], Verb]) -> None:
        """Let one call of each bot's verb fail, then run the verbs again that it takes."""
        day, done = step // len(DAY), set[str]()
        if name in FAILING:
            self.steps[name, day], _ = self._failed([Run(bots[0], line(bots[0]))], [NEVER], name)[0]
            nths = {bot.name: number(bot) + day * self._count for bot in bots[1:]}
            met = [bot for bot in bots[1:] if nths[bot.name] <= self.steps[name, day]]
            ends = self._failed([Run(bot, line(bot)) for bot in met], [nths[bot.name] for bot in met], name)
            done = {bot.name for bot, (_, code) in zip(met, ends, strict=True) if code == ExitCode.DONE}
        elif "exits " in name:
            # The end of a day is played while it is needed.
            done = {bot.name for bot in bots if self._rests(bot)}
        self._lived([Run(bot, line(bot)) for bot in bots if bot.name not in done])

    def _failed(self, runs: list[Run], nths: list[int], name: str) -> list[tuple[int, int]]:
        """Run verbs of which a call fails, and look at how they ended; return the steps and the code of each."""
        before = {run.bot.name: self._news(run.bot).posts.total() for run in runs}
        broken = [
            run._replace(
                verb=failing(run.bot, run.verb, nth, lasting=run.bot.name.startswith(LASTING), each=self._each)
            )
            for run, nth in zip(runs, nths, strict=True)
        ]
        return [
            (self._note(run.bot, end.code, name, before[run.bot.name]), end.code)
            for run, end in zip(runs, self._run(broken), strict=True)
        ]

    def _note(self, bot: StageBot, code: int, name: str, before: int) -> int:
        """Take in how a verb ended of which a call failed, and return how many steps it took."""
        told = json.loads(bot.folder.with_name(f"{bot.name}.told").read_text())
        self.tally.runs += 1
        if told["call"]:
            self.tally.hit[" ".join(told["call"].split()[:2])] += 1
            self.disturb(bot)
            self.unable[bot.name].append(self._now)
        if name == ENTRIES and self._news(bot).posts.total() == before:
            self._missed.add(bot.name)
        if name == EXITS and told["call"]:
            self._late.add(bot.name)
        found = [*unclear(code, told["said"], reported=REPORTED), *damaged(bot.folder)]
        self.tally.note(bot, [f"{told['call']} failed: {problem}" for problem in found])
        self.tally.note(bot, judge.unrecorded(self._news(bot), self._intents(bot)))
        return int(told["steps"])

    def _expect(self, bot: StageBot, end: End) -> None:
        """Expect every run in which nothing fails to mend what was left, and to do all that it is for."""
        if end.code != ExitCode.DONE:
            self.tally.note(bot, [f"the run after it ended with {end.code}"])

    def _rests(self, bot: StageBot) -> bool:
        """Tell whether a bot holds nothing and has no order out, as the exchange tells it."""
        account = self._news(bot)
        held = {fill["symbol"]: fill["position"] for fill in account.fills}
        return not any(map(Decimal, held.values())) and {*account.status.values()} <= {*judge.ENDED}


def number(bot: StageBot) -> int:
    """Return which call of each verb fails on the first day."""
    return 0 if bot.name == REFERENCE else int(bot.name.rpartition("-")[2])


def unclear(code: int, said: str, *, reported: Collection[int] = ()) -> Iterator[str]:
    """Yield what is not to be found in a clear end: a code of our own, a sentence, and no fault of ours.

    With `reported` codes comes a report, which whoever typed the verb prints.
    """
    if code not in CLEAR:
        yield f"it ended with {code}"
    if code not in reported and not said.strip():
        yield f"it ended with {code} and said nothing"
    yield from (f"it said {said!r}" for sign in ("Traceback", "bug in tradebot") if sign in said)


def each_call(names: Sequence[str], count: int, days: int, *, each: bool) -> tuple[Tally, int]:
    """Play the days with bots of these names; return the tally, and the steps of the verb that has most."""
    with set_up(days + 4) as stage:
        warm_up(stage)
        campaign = EachCall(stage, count, days, each=each)
        campaign.play([stage.bot(name, HASTY) for name in (REFERENCE, *names)])
        return campaign.tally, max(campaign.steps.values())


def main() -> int:
    """Play what the arguments say, print one JSON line, and tell whether everything held and no call was left out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=64, help="so many bots, and as many calls on each day")
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="3 plays every third of them")
    parser.add_argument("--first", type=int, help="which of them comes first")
    parser.add_argument("--each", action="store_true", help="take every call of SQLite as a step")
    parser.add_argument("--kind", choices=(ONCE, LASTING), help="let all calls fail so; else every other one")
    parser.add_argument("--only", action="append", help="play this one, as call-7 or lasting-7; again for another one")
    asked = parser.parse_args()
    numbers = range(asked.first or asked.every, asked.count + 1, asked.every)
    names = asked.only or [f"{asked.kind or (ONCE, LASTING)[nth % 2]}-{nth}" for nth in numbers]
    tally, most = each_call(names, asked.count, asked.days, each=asked.each)
    replay = f"python -m tests.faults.nth --count {asked.count} --days {asked.days}{' --each' * asked.each} --only"
    shown = [f"{problem} [{replay} {problem.partition(':')[0]}]" for problem in dict.fromkeys(tally.problems)]
    left = most - asked.count * asked.days
    print(json.dumps({"failed": tally.hit.total(), "most": most, "left": left, "hit": tally.hit, "problems": shown}))
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
