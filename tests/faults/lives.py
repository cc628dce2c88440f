"""Lives of positions on the embedded exchange, drawn by hypothesis: entries, exits, nights, faults, people, kills.

    python -m tests.faults.lives --examples 500
    python -m tests.faults.lives --examples 500 --seed 3 --steps 40
    python -m tests.faults.lives --examples 0 --control stops-move-away --control first-rule-counts=101

After each pass the exchange's own log and account say whether a promise was broken. Every pass opens the bot anew, as
each process does. Some lives are lived twice: the second time with one bot that stays open, and with the exit rules in
the opposite order. Then both logs have to be the same.

It prints one JSON line with what was played, or hypothesis's shortest example of a broken promise, and then ends
with 1.
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.faults.controls import LIFE_CONTROLS
from tests.faults.ground import Ground, laid
from tests.faults.life import DEMOTED, OWNERS, SYMBOLS, Life, install
from tests.kit.judge import protection
from tradebot.exits.rules import parse
from tradebot.model.candidate import ScaleOutLevel, Side
from tradebot.model.limits import ApprovalRules, Protection
from tradebot.model.trading import ApprovalAnswer, TradingState
from tradebot.model.view import Close, Open, Reduce

RENAMED = {"AAPL": "PEAR", "MSFT": "GRAPE"}
STOP = {"stop_loss": {"fraction": "0.004"}}
LISTS: Sequence[Sequence[Mapping[str, Any]]] = (
    (STOP, {"trailing_stop": {"fraction": "0.002", "arm_fraction": "0.001"}}, {"profit_target": {"fraction": "0.006"}}),
    (
        STOP,
        {"time_exit": {"after_s": 400}},
        {"scale_out": {"levels": [{"fraction": "0.001", "share": "0.3"}, {"fraction": "0.003", "share": "0.3"}]}},
    ),
    ({"stop_loss": {"fraction": "0.01"}}, {"time_exit": {"after_s": 900}}, {"drawdown": {"fraction": "0.003"}}),
    (
        STOP,
        {"low_movement": {"movement_fraction": "0.002", "after_s": 300}},
        {"momentum": {"adverse_fraction": "0.001"}},
    ),
    ({"stop_loss": {"fraction": "0.05"}}, {"end_of_day": {"before_close_s": 3600}}),
    (
        STOP,
        {"ladder": {"levels": [{"r": "0.5", "share": "0.4"}, {"r": 1, "share": "0.4"}]}},
        {"break_even": {"after_share": "0.3"}},
        {"atr_trail": {"multiple": "1.5", "arm_r": "0.5", "tighten": [{"r": 1, "multiple": "0.7"}]}},
    ),
    ({"time_exit": {"after_s": 7200}},),
)
"""Lists of exit rules that a strategy may have; the last one has no stop."""
TARGETS = (ScaleOutLevel(Decimal("0.001"), Decimal("0.5")), ScaleOutLevel(Decimal("0.004"), Decimal("0.5")))
WRITES = ("submit", "cancel", "replace")
DOUBTS: Mapping[str, Mapping[str, Any]] = {
    "class refused": {"when": {"request": "submit"}, "what": {"class_refused": "oco"}},
    "legs left out": {"when": {"request": ["submit", "replace"]}, "what": "legs_left_out"},
    "legs shown held": {"when": {"request": "submit"}, "what": "legs_shown_held"},
    "marketable exit refused": {"when": {"request": "replace"}, "what": "marketable_exit_refused"},
    "replace needs shares": {"when": {"request": "replace"}, "what": "replace_needs_shares"},
    "replace starts over": {"when": {"request": "replace"}, "what": "replace_starts_over"},
    "shares freed late": {"when": {"request": ["cancel", "cancel_all"]}, "what": {"shares_freed_late": "2s"}},
}
"""How a venue may treat exits; a good bot keeps every promise whichever way it is."""
FAULTS: Mapping[str, Any] = {
    "reply lost": "reply_lost",
    "504 after": {"status": 504, "acceptance": "after"},
    "503 before": {"status": 503, "acceptance": "before"},
    "late": {"late_arrival": "2m"},
    "refused": "refused",
    "rejected later": "reject_after_acceptance",
    "partial": "partial_then_cancel",
    "filled while canceled": "fill_during_cancel",
    "acknowledged late": {"late_acknowledgement": "2m"},
}
GOES_WITH = {"refused": ("cancel", "replace"), "partial": ("submit",), "acknowledged late": ("submit",)}
GOES_WITH["filled while canceled"] = ("cancel",)
TERMS: Mapping[str, Mapping[str, str | int]] = {
    "forward_split": {"new_rate": 2, "old_rate": 1},
    "cash_dividend": {"rate": "0.25"},
    "name_change": {},
}
NIGHTS = 2
"""As many as the market has from where lives begin."""
BETWEEN_PASSES = (61, 61, 61, 180, 600)


class Lives(RuleBasedStateMachine):
    """What may befall positions from their beginning to their end."""

    ground: ClassVar[Ground]
    tally: ClassVar[Counter[str]] = Counter()

    @initialize(
        first=st.sampled_from(LISTS),
        second=st.sampled_from(LISTS),
        protection=st.sampled_from([Protection.VENUE] * 4 + [Protection.BOTH, Protection.BOT]),
        twice=st.integers(0, 3).map(lambda number: number == 0),
        sides=st.tuples(st.sampled_from(Side), st.sampled_from(Side)),
        asks=st.integers(0, 2).map(lambda number: number == 0),
    )
    def begin(
        self, first: Any, second: Any, protection: Protection, twice: bool, sides: tuple[Side, Side], asks: bool
    ) -> None:
        """Begin with two strategies and their exit rules; in some lives each entry waits for a person's approval."""
        self._lists = dict(zip(OWNERS, (parse(list(first)), parse(list(second))), strict=True))
        self._protection, self._twice = protection, twice
        self._did: list[tuple[str, tuple[Any, ...]]] = []
        self._hand, self._nights = Counter[str](), 0
        self._names = {symbol: symbol for symbol in SYMBOLS}
        self._approval = ApprovalRules(wait_s=300) if asks else None
        self.life = Life(self.ground, self._lists, protection, self._approval)
        for owner, symbol, side in zip(OWNERS, SYMBOLS, sides, strict=True):
            self._enter(owner, Open(symbol, side, 0.9 * side.sign, 1.0))

    def _enter(
        self, owner: str, want: Open, kill: int | None = None, answer: ApprovalAnswer | None = ApprovalAnswer.YES
    ) -> None:
        """Let a strategy want to open a position, and a person answer if one is asked."""
        self._do("wanted", owner, want, self._killed(kill))
        if self._approval and answer:
            self._do("answered", answer, owner, want, self._killed(kill))

    def _killed(self, kill: int | None) -> int | None:
        """Return when a process is killed; never in a life that is lived twice, whose processes reach other points."""
        return None if self._twice else kill

    def _do(self, name: str, *arguments: Any) -> Any:
        self._did.append((name, arguments))
        self.tally[name] += 1
        return getattr(self.life, name)(*arguments)

    @rule(
        owner=st.sampled_from(OWNERS),
        symbol=st.sampled_from(SYMBOLS),
        side=st.sampled_from(Side),
        quantity=st.integers(1, 9),
        stop=st.sampled_from([None, None, Decimal("0.002"), Decimal("0.02")]),
        levels=st.sampled_from([(), (), TARGETS]),
        kill=st.one_of(st.none(), st.none(), st.none(), st.integers(1, 20)),
        answer=st.sampled_from([None, ApprovalAnswer.YES, ApprovalAnswer.YES, ApprovalAnswer.NO]),
    )
    def enter(
        self,
        owner: str,
        symbol: str,
        side: Side,
        quantity: int,
        stop: Any,
        levels: Any,
        kill: int | None,
        answer: ApprovalAnswer | None,
    ) -> None:
        """Let a strategy open a position, as far as gates and limits let it."""
        want = Open(
            self._names[symbol],
            side,
            0.9 * side.sign,
            1.0,
            quantity=Decimal(quantity),
            stop_loss_fraction=stop,
            targets=levels,
            atr_fraction=stop,
        )
        self._enter(owner, want, kill, answer)

    @rule(
        owner=st.sampled_from(OWNERS),
        symbol=st.sampled_from(SYMBOLS),
        quantity=st.one_of(st.none(), st.integers(1, 5)),
        kill=st.one_of(st.none(), st.none(), st.integers(1, 20)),
    )
    def leave(self, owner: str, symbol: str, quantity: int | None, kill: int | None) -> None:
        """Let a strategy close or reduce what it has."""
        name = self._names[symbol]
        self._do(
            "wanted",
            owner,
            Reduce(name, Decimal(quantity), "drawn") if quantity else Close(name, "drawn"),
            self._killed(kill),
        )

    @rule(
        owner=st.sampled_from(OWNERS),
        begins=st.sampled_from([None, Side.BUY, Side.BUY, Side.SELL, Side.SELL]),
        quantities=st.tuples(st.sampled_from([0, 2, 12, -6, -6]), st.sampled_from([0, 6, -6])),
        blocks=st.sampled_from(["halt", "demote", "demote", None]),
        kill=st.one_of(*[st.none()] * 4, st.integers(1, 20)),
    )
    def rebalance(
        self, owner: str, begins: Side | None, quantities: Sequence[int], blocks: str | None, kill: int | None
    ) -> None:
        """Let a strategy want so many shares of each symbol, while it may open positions or, halted or demoted, not."""
        if begins:
            self._do("passes", "unhalt", 61)
            self._enter(owner, Open(self._names[SYMBOLS[0]], begins, 0.9 * begins.sign, 1.0))
            self._do("passes", "exits", 61)
        if blocks == "halt":
            self._do("halted", TradingState.REDUCE_ONLY)
        side = begins.sign if begins else 1
        targets = {self._names[symbol]: side * number for symbol, number in zip(SYMBOLS, quantities, strict=True)}
        self._do("rebalanced", owner, targets, {owner: DEMOTED} if blocks == "demote" else {}, self._killed(kill))

    @rule(
        times=st.lists(st.sampled_from(BETWEEN_PASSES), min_size=2, max_size=8),
        kill=st.one_of(*[st.none()] * 4, st.integers(1, 25)),
    )
    def watch(self, times: list[int], kill: int | None) -> None:
        """Run some passes of exits; the first may be killed."""
        for seconds in times:
            self._do("passes", "exits", seconds, self._killed(kill))
            kill = None

    @rule(
        verb=st.sampled_from(["compare", "unhalt"]),
        kill=st.one_of(*[st.none()] * 4, st.integers(1, 25)),
        watches=st.integers(0, 4),
    )
    def compare(self, verb: str, kill: int | None, watches: int) -> None:
        """Compare books and broker, or end a halt, and then run passes of exits."""
        self._do("passes", verb, 61, self._killed(kill))
        for _ in range(watches):
            self._do("passes", "exits", 61)

    @rule(
        seconds=st.sampled_from([1, 61, 600]),
        symbol=st.sampled_from(SYMBOLS),
        kind=st.sampled_from([None, None, "forward_split", "cash_dividend", "name_change"]),
    )
    def night(self, seconds: int, symbol: str, kind: str | None) -> None:
        """Hold over a night, in which a corporate action may take effect."""
        if self._nights >= NIGHTS:
            return
        self._nights += 1
        name = self._names[symbol]
        announced = bool(kind) and not self._hand[symbol] and (kind != "name_change" or name == symbol)
        if announced:
            self._do("announced", {"type": kind, "symbol": name, **TERMS[str(kind)], **_new_name(kind, symbol)})
        if self._do("night", seconds) and announced and kind == "name_change":
            self._names[symbol] = RENAMED[symbol]

    @rule(
        what=st.sampled_from(
            ["buy", "sell", "flatten", "flatten", "flatten all", "cancel", "cancel", "halt", "halt and flatten"]
        ),
        symbol=st.sampled_from(SYMBOLS),
    )
    def person(self, what: str, symbol: str) -> None:
        """Let a person halt the bot, close or cancel through it, buy a share of his own, or sell one that he has."""
        if what.startswith("halt"):
            self._do("halted", TradingState.FLATTEN if "flatten" in what else TradingState.REDUCE_ONLY)
        elif what.startswith("flatten"):
            self._do("flattened", None if "all" in what else self._names[symbol])
        elif what == "cancel":
            self._do("cancels", self._names[symbol])
        elif symbol == self._names[symbol] and self._hand[symbol] + (1 if what == "buy" else -1) >= 0:
            self._hand[symbol] += 1 if what == "buy" else -1
            self._do("by_hand", symbol, what, 1)

    @rule(
        doubt=st.one_of(st.none(), st.sampled_from(sorted(DOUBTS))),
        fault=st.sampled_from(sorted(FAULTS)),
        request=st.sampled_from(WRITES),
        nth=st.integers(1, 2),
        meets=st.sampled_from(["exits", "protect", "protect", "close", "close"]),
        symbol=st.sampled_from(SYMBOLS),
        calms=st.booleans(),
    )
    def trouble(
        self, doubt: str | None, fault: str, request: str, nth: int, meets: str, symbol: str, calms: bool
    ) -> None:
        """Let one request have another fate, or let the venue treat exits in another way from now on; then trade."""
        befalls = GOES_WITH.get(fault, WRITES)
        asked = request if request in befalls else befalls[0]
        once = {"when": {"request": asked, "nth": nth}, "what": FAULTS[fault]}
        owner, name = OWNERS[SYMBOLS.index(symbol)], self._names[symbol]
        if meets in ("protect", "close"):
            self._enter(owner, Open(name, Side.BUY, 0.9, 1.0))
            self._do("passes", "compare" if meets == "protect" else "exits", 61)
        self._do("armed", DOUBTS[doubt] if doubt else once)
        if meets == "close":
            self._do("wanted", owner, Close(name, "drawn"))
        self._do("passes", "exits", 61)
        if calms:
            self._do("calmed")

    def teardown(self) -> None:
        """Let all trouble end, compare and watch; live it again if that was drawn."""
        if not hasattr(self, "life"):
            return
        try:
            self._end()
        finally:
            self.life.close()

    def _end(self) -> None:
        self._do("calmed")
        for verb in ("compare", "unhalt", "compare", "exits", "exits", "exits"):
            self._do("passes", verb, 61)
        broken = self.life.unprotected()
        assert not broken, broken
        self.tally.update(self.life.codes)
        self.tally["lives"] += 1
        self.tally.update(self.life.judge.seen)
        if self._twice:
            self._again()

    def _again(self) -> None:
        """Live the same life with one process and with all lists of rules turned around: the log has to be the same."""
        lines = self.life.lines()
        self.life.close()
        turned = {name: exits[::-1] for name, exits in self._lists.items()}
        self.life = Life(self.ground, turned, self._protection, self._approval, kept=True)
        for name, arguments in self._did:
            getattr(self.life, name)(*arguments)
        for one, other in zip(lines, self.life.lines(), strict=True):
            assert one == other, f"lived again, the log has {other} where it had {one}"
        self.tally["lived twice"] += 1


def _new_name(kind: str | None, symbol: str) -> Mapping[str, str]:
    return {"new_symbol": RENAMED[symbol]} if kind == "name_change" else {}


@contextmanager
def standing() -> Iterator[Ground]:
    """Yield ground in memory where there is such a place."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 -- its own folder is made there
    with tempfile.TemporaryDirectory(prefix="lives-", dir=memory) as folder, laid(Path(folder)) as ground:
        yield ground


def lived(examples: int, steps: int, seed_: int, *, shortest: bool) -> None:
    """Live so many lives; raise what hypothesis raises if a promise is broken."""
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink) if shortest else (Phase.generate,),
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        run_state_machine_as_test(seed(seed_)(Lives), settings=how)


def seen(control: str, seed_: int, asked: argparse.Namespace) -> str:
    """Live in a child whose bot is broken on purpose; return what was seen, nothing if all promises held."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        said = ""
        try:
            LIFE_CONTROLS[control]()
            lived(asked.most, asked.steps, seed_, shortest=False)
        except AssertionError as broken:
            said = str(broken)[:200]
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


def _control(text: str) -> tuple[str, int | None]:
    """Return the name of a control, and what its lives are drawn from, None for what all are."""
    name, _, seed_ = text.partition("=")
    if name not in LIFE_CONTROLS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(LIFE_CONTROLS)}")
    return name, int(seed_) if seed_ else None


def main() -> int:
    """Live what the arguments say, and tell whether every promise held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--examples", type=int, default=100, help="how many lives")
    parser.add_argument("--steps", type=int, default=14, help="the most that befalls one")
    parser.add_argument("--seed", type=int, default=0, help="what they are drawn from")
    parser.add_argument("--control", action="append", default=[], type=_control, help="break the bot so; =SEED too")
    parser.add_argument("--most", type=int, default=150, help="in so many lives a broken bot must be seen")
    parser.add_argument("--quick", action="store_true", help="don't look for the shortest example")
    asked = parser.parse_args()
    install()
    began = time.process_time()
    with standing() as ground:
        Lives.ground = ground
        caught = {name: seen(name, asked.seed if own is None else own, asked) for name, own in asked.control}
        if asked.examples:
            lived(asked.examples, asked.steps, asked.seed, shortest=not asked.quick)
    spent = os.times()
    cpu_s = round(time.process_time() - began + spent.children_user + spent.children_system, 1)
    told = {"cpu_s": cpu_s, "caught": caught, "protection": protection.TOTAL.shown()}
    print(json.dumps({**told, **dict(sorted(Lives.tally.items()))}))
    return 0 if all(caught.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
