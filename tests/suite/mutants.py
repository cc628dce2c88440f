"""Measure which of the tests catch small mistakes: draw mutants of the product, and run one tier after another on each.

    make mutants ARGS="drawn --seed 75 --count 75"

A mutant is one small change inside a function: a limit that moves by one, a sign, an `and`, a missing call. They are
drawn by a seed from fifteen rooms. Each is written into a copy of the project, never into the checkout. One is
caught by the first test that fails on it and passes without it, or by a run that doesn't end. Results are kept below
mutants/, so that a run goes on where the last one of the same code ended.
"""

import argparse
import ast
import contextlib
import hashlib
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.suite.costs import recorded
from tests.suite.quick import CAP, ENOUGH, ROOT, Graph, Plan, command, is_test, plan, read

ROOMS, SMALLEST = 15, 100
"""How many rooms mutants are drawn from, and how many possible mutants make one."""
PRODUCT = ("tradebot", "commands", "jobs", "exchange/src")
SWAPS: Mapping[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
SAYING = frozenset({"print", "echo", "debug", "info", "warning", "error", "exception"})
LIMIT_S = 900
"""A run of tests that takes longer than this counts as one that never ends."""
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::.*?)?)(?: - .*)?$", re.M)
TIERS = ("quick", "test", "all")


class Mutant(NamedTuple):
    """One small change of a file: the bytes from `start` to `end` become `after`."""

    path: str
    line: int
    start: int
    end: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """Return what tells it from the others."""
        return f"{self.path}:{self.line}:{self.start} {self.before} → {self.after}"

    def apply(self, text: bytes) -> bytes:
        """Return the text of its file with the change."""
        return text[: self.start] + self.after.encode() + text[self.end :]


class _Finder(ast.NodeVisitor):
    """Finds what may be changed inside functions; nothing in docstrings, asserts, annotations or words."""

    def __init__(self, path: str, text: bytes) -> None:
        self.path, self.text = path, text
        self.found = list[Mutant]()
        self._inside = False
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        before, self._inside = self._inside, True
        for statement in node.body:
            self.visit(statement)
        self._inside = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 -- the library's own name

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leave out what must hold anyway."""

    def visit_Raise(self, node: ast.Raise) -> None:
        """Leave out the words of errors."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave out texts."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, operator, right in zip((node.left, *node.comparators), node.ops, node.comparators, strict=False):
            self._swap(operator, left, right)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._swap(node.op, node.left, node.right)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._swap(node.op, left, right)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._swap(node.op, node.target, node.value)
        self.visit(node.value)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._change(self._start(node), self._start(node.operand), "")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if type(node.value) is int:
            self._change(self._start(node), self._end(node), str(node.value + (1 if node.value < 2 else -1)))

    def visit_Return(self, node: ast.Return) -> None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
            self._change(self._start(node.value), self._end(node.value), str(not node.value.value))
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            called = node.value.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name not in SAYING:
                self._change(self._start(node), self._end(node), "pass")
                self.generic_visit(node)
        elif isinstance(node.value, ast.Yield | ast.YieldFrom | ast.Await):
            self.generic_visit(node)

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None, "it was parsed"
        assert node.end_col_offset is not None, "it was parsed"
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def _swap(self, operator: ast.AST, left: ast.expr, right: ast.expr) -> None:
        """Swap the operator between two expressions, unless it is one of words or of types."""
        words = any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in (left, right))
        if type(operator) not in SWAPS or (words and isinstance(operator, ast.Add | ast.Mult)):
            return
        before, after = SWAPS[type(operator)]
        between = self.text[self._end(left) : self._start(right)]
        at = re.search(rb"(?<!#)" + re.escape(before.encode()), between)
        if at and b"#" not in between:
            self._change(self._end(left) + at.start(), self._end(left) + at.end(), after)

    def _change(self, start: int, end: int, after: str) -> None:
        if self._inside:
            line = self.text.count(b"\n", 0, start) + 1
            self.found.append(Mutant(self.path, line, start, end, self.text[start:end].decode(), after))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def mutants(path: str, text: bytes) -> Sequence[Mutant]:
    """Return all small changes of a file that can be drawn."""
    finder = _Finder(path, text)
    finder.visit(ast.parse(text))
    return finder.found


def room(path: str) -> str:
    """Return the room that a file of the product belongs to."""
    top, *below = path.split("/")
    return f"{top}/{below[0]}" if top == "tradebot" and len(below) > 1 else top


def drawn(texts: Mapping[str, bytes], seed: int, count: int) -> Sequence[Mutant]:
    """Draw mutants, as many in each of fifteen rooms, by a seed."""
    rooms = defaultdict[str, list[Mutant]](list)
    for path in sorted(texts):
        if path.startswith(tuple(f"{top}/" for top in PRODUCT)):
            rooms[room(path)] += mutants(path, texts[path])
    by, large = random.Random(seed), sorted(name for name, found in rooms.items() if len(found) >= SMALLEST)
    chosen = sorted(by.sample(large, min(ROOMS, len(large))))
    shares = [count // len(chosen) + (number < count % len(chosen)) for number in range(len(chosen))]
    return [one for name, share in zip(chosen, shares, strict=True) for one in by.sample(rooms[name], share)]


class Result(NamedTuple):
    """What a tier made of a mutant: the first test that failed, empty if none did, and what the run cost."""

    mutant: str
    tier: str
    caught_by: str
    cpu_s: float
    files: int


class Copy:
    """A copy of the project in a folder that is removed in the end, for one mutant at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _git("clone", "--quiet", "--shared", str(ROOT), str(folder))
        for name in (*_git("diff", "--name-only", "HEAD"), *_git("ls-files", "--others", "--exclude-standard")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).unlink(missing_ok=True)
            if (ROOT / name).is_file():
                shutil.copy(ROOT / name, folder / name)

    @contextlib.contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """Let the copy be a mutant while the block runs."""
        path = self.folder / mutant.path
        text = path.read_bytes()
        path.write_bytes(mutant.apply(text))
        try:
            yield
        finally:
            path.write_bytes(text)

    def run(self, words: Sequence[str]) -> tuple[str, float]:
        """Run tests until one fails; return that one, empty if none does, and the CPU-seconds of all of it."""
        # What Python keeps of a module is taken for new if the change is as long as what it replaces.
        outside = {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        with tempfile.TemporaryFile() as output:
            ran = subprocess.Popen(
                [*words, "-x", "--tb=no", "-rfE", "-p", "no:cacheprovider"],
                cwd=self.folder,
                env=os.environ | outside,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            late = threading.Timer(LIMIT_S, os.killpg, (ran.pid, signal.SIGKILL))
            late.start()
            _, status, used = os.wait4(ran.pid, 0)
            endless = late.finished.is_set() and os.WIFSIGNALED(status)
            late.cancel()
            ran.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read().decode(errors="replace")
        cost = used.ru_utime + used.ru_stime
        if endless:
            return "it doesn't end", cost
        if ran.returncode in (0, 5):
            return "", cost
        failed = FAILED.search(text)
        return failed[1] if failed else f"exit code {ran.returncode}: {text[-200:]!r}", cost


def _git(*words: str) -> list[str]:
    done = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.splitlines()


class Benchmark:
    """Mutants, the tiers that are run on them, and the results so far."""

    def __init__(self, graph: Graph, file: Path, tiers: Sequence[str]) -> None:
        self.graph, self.file, self.tiers = graph, file, tiers
        self.results = [Result(*json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
        self._lock = threading.Lock()
        self._failing = set[str]()

    def plans(self, mutant: Mutant) -> Iterator[tuple[str, Plan]]:
        """Yield what each tier runs beyond the ones before it."""
        quick = plan(self.graph, [mutant.path], recorded(), cap=CAP, enough=ENOUGH)
        yield "quick", quick
        # What quick left out of a file runs with the whole of it.
        done = {path for path in quick.files if not any(test.startswith(f"{path}::") for test in quick.without)}
        own = f"tests/{room(mutant.path).removeprefix('tradebot/')}/"
        wide = set[str]().union(*self.graph.near([mutant.path], 2))
        wide |= {path for path in self.graph.files if is_test(path) and path.startswith(own)}
        yield "test", Plan(tuple(sorted(wide - done)), (), 0, 0.0)
        rest = {path for path in self.graph.files if is_test(path)} - wide - done
        yield "all", Plan(tuple(sorted(rest)), (), 0, 0.0)

    def judge(self, mutant: Mutant, copy: Copy) -> None:
        """Run the tiers on a mutant until one catches it, and keep the results."""
        known = {result.tier: result for result in self.results if result.mutant == mutant.name}
        for tier, chosen in self.plans(mutant):
            if tier not in self.tiers:
                continue
            result = known.get(tier) or self._run(mutant, copy, tier, chosen)
            if tier not in known:
                with self._lock, self.file.open("a") as file:
                    self.results.append(result)
                    file.write(json.dumps(result) + "\n")
                    print(row(result), flush=True)
            if result.caught_by:
                return

    def _run(self, mutant: Mutant, copy: Copy, tier: str, chosen: Plan) -> Result:
        """Run a tier; a test that fails without the mutant, too, is left out of this and of later runs."""
        total = 0.0
        while chosen.files:
            with copy.changed(mutant):
                failed, cost = copy.run(command(chosen._replace(without=(*chosen.without, *self._failing), cost=0.0)))
            total += cost
            if ".py" not in failed or not copy.run([sys.executable, "-m", "pytest", "-q", failed])[0]:
                return Result(mutant.name, tier, failed, round(total, 1), len(chosen.files))
            self._failing.add(failed)
            print(f"left out, because it fails without a mutant: {failed}", flush=True)
        return Result(mutant.name, tier, "", 0.0, 0)


def row(result: Result) -> str:
    """Return a line of the table."""
    what = f"caught by {result.tier}" if result.caught_by else f"not caught by {result.tier}"
    return f"{what:20} {result.cpu_s:6.1f} CPU-s {result.files:4} files  {result.mutant}  {result.caught_by[:120]}"


def summary(results: Sequence[Result], chosen: Sequence[Mutant], tiers: Sequence[str]) -> Iterator[str]:
    """Yield how many mutants each tier has caught, of those that any of them has, and who was caught by none."""
    names = {mutant.name for mutant in chosen}
    known = [result for result in results if result.mutant in names and result.tier in tiers]
    caught = {result.mutant for result in known if result.caught_by}
    for tier in tiers:
        of_tier = [result for result in known if result.tier == tier]
        if of_tier:
            by = sum(bool(result.caught_by) for result in of_tier)
            spent = sorted(result.cpu_s for result in of_tier)
            yield f"{tier}: {by} of {len(of_tier)}, median {spent[len(spent) // 2]:.1f} CPU-s, all {sum(spent):.0f}"
    quick = sum(bool(result.caught_by) for result in known if result.tier == "quick")
    yield f"caught by quick {quick} of {len(caught)} that {', '.join(tiers)} catch, of {len(names)} drawn"
    missed = {result.mutant for result in known if result.tier == tiers[-1]} - caught
    yield from (f"not caught: {name}" for name in sorted(missed))


def main(arguments: Sequence[str]) -> None:
    """Draw mutants, and print which tests catch them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, help="draws the same mutants again; without it, others are drawn")
    parser.add_argument("--count", type=int, default=75)
    parser.add_argument("--tiers", default="quick,test", help=f"some of {','.join(TIERS)}, of which `all` takes hours")
    parser.add_argument("--only", default="", help="of the mutants drawn, those of files whose path begins so")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(100_000) if options.seed is None else options.seed
    texts = read(ROOT)
    chosen = [one for one in drawn(texts, seed, options.count) if one.path.startswith(options.only)]
    tiers = [tier for tier in TIERS if tier in options.tiers.split(",")]
    code = hashlib.sha256(b"".join(texts[path] for path in sorted(texts))).hexdigest()[:12]
    file = ROOT / "mutants" / f"drawn-{seed}-{code}.jsonl"
    file.parent.mkdir(exist_ok=True)
    print(f"{len(chosen)} mutants of seed {seed}; results in {file.relative_to(ROOT)}", flush=True)
    benchmark = Benchmark(Graph(texts), file, tiers)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(options.processes) as pool:
        copies = queue.SimpleQueue[Copy]()
        for number in range(options.processes):
            copies.put(Copy(Path(folder) / str(number)))

        def judge(mutant: Mutant) -> None:
            copy = copies.get()
            try:
                benchmark.judge(mutant, copy)
            finally:
                copies.put(copy)

        list(pool.map(judge, chosen))
    print(*summary(benchmark.results, chosen, tiers), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
