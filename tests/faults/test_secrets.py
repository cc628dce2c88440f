"""No key is in anything that a bot leaves behind, whatever became of it, and none is handed on."""

import base64
import faulthandler
import io
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

import pytest
import requests
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, connection_from_url

from commands.serve import web
from commands.serve.watchdog_thread import StopRequest
from commands.shared.listed_verbs import VERBS
from exchange.tests.kit.nursery import without_nursery
from papervenue import process
from tests.kit.bot.folder import made, passes_in
from tests.kit.bot.real_money import SETTINGS, at_a_terminal, environment, lines_for, real_folder, spoken
from tests.kit.bot.state import accept
from tests.kit.fakes.machine import table
from tests.kit.fakes.scripted import Asked, Scripted, Wire, serving
from tradebot.__main__ import main
from tradebot.adapters import failpoint
from tradebot.adapters.text.redaction import HIDDEN
from tradebot.adapters.time.clock import LockStepClock
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app

# Keys that are looked for everywhere: a bot of real money that lives a hard life, and a search through what is left.
#
# The wire is bent at the transport to the exchange of a sandbox, which never sees a key: what is left is all the bot's.

KEY, SECRET, FLOW, CHAT, HOOK, CLOUD_KEY, CLOUD_SECRET = (
    "".join(parts)
    for parts in (
        ("AK", "CANARY7Q" * 2),
        ("Ca+na/ry9", "Z" * 3) * 3,
        ("flow-c4-n4ry-",) * 3,
        ("4242:", "chat-n4ry_" * 4),
        ("hook-c4-n4ry-",) * 3,
        ("AKIA", "CLOUDN4RY" * 2),
        ("cl/oud+n4ry",) * 4,
    )
)
CANARIES = {"the key": KEY, "the secret": SECRET, "the flow key": FLOW, "the chat token": CHAT}
CANARIES |= {"the channel's address": HOOK, "the bucket's key": CLOUD_KEY, "the bucket's secret": CLOUD_SECRET}
ENV_FILE = ".env"
RUN = re.compile(rb"[A-Za-z0-9+/_=-]{20,}")
NOT_OURS = 99
LONGEST_S = 30
"""How long a fork may live before it counts as hanging."""
FEW_PASSES = "timetable: {score: at open+30m, trade-once: at open+30m}\n"
"""A backtest starts the plug-in anew in each pass that asks it, because it fails each time."""
LOOKS = (
    *("evaluate-exits --force-slot", "positions", "fills", "why-no-orders AAPL", "audit", "signals", "replay"),
    *("parity", "health", "health --probe", "trades", "trades --tax 2026", "pnl", "report", "learn"),
    *("backtest --sessions 1 --symbols AAPL --name canary", "compare canary canary", "search space.yaml"),
    *("config show", "config check", "schedule", "schedule check", "strategy list", "bars list", "adopt AAPL"),
    *("approvals", "approve aapl-k3f7q", "reject aapl-k3f7q", "registry"),
    *(
        "journal verify",
        "backup --list",
        "notify list",
        "notify last",
        "drill list",
        "summary",
        "tail",
        "top",
        "mcp",
        "web --host 0.0.0.0",
        "live status",
    ),
    *("export --to books.db --as main", "archive push market_data/ES journal.jsonl --to nowhere"),
    *("upgrade --check", "upgrade", "deploy verify"),
    *("restore nonsense", "flatten --all --dry-run", "recover", "unhalt", "exchange status", "exchange tick 1m"),
    *("promote flow", "demote", "retire flow", "shadow", "model check"),
)
"""What is asked in the middle of a life, in turn; the sample asks every fifth of it."""
PLUGIN = """
import os, pathlib
from tradebot.ports import Needs
class Canary:
    name, needs, times = "canary", Needs(), ""
    def __init__(self, settings):
        self.keys = pathlib.Path(settings["keys"])
    def propose(self, view):
        found = [str(path) for path in (self.keys, *pathlib.Path("/proc").glob("*/environ")) if self.holds_a_key(path)]
        found += [name for name, value in os.environ.items() if "n4ry" in value or "na/ry" in value]
        raise RuntimeError(f"it reached {found[0] if found else 'nothing'}, and UW_API_KEY={'flow-c4-n4ry-' * 3}")
    def holds_a_key(self, path):
        try:
            return any(part in path.read_text() for part in ("n4ry", "na/ry"))
        except OSError:
            return False
"""


class KeyedBot:
    """A bot of real money, what it said, and what went over its wire."""

    def __init__(self, place: Path, url: str, echo: Wire) -> None:
        self.place, self.url, self.echo = place, url, echo
        self.folder = place / "real"
        self.sandbox = place / "sandbox"
        self.sent: list[tuple[str, str]] = []
        self.started: list[str] = []
        self.ends: dict[str, list[int]] = {}
        self.echoed: Callable[[str, str], bool] = lambda method, path: False

    def says(self, *words: str) -> int:
        """Run a command line in this process, and keep what it says beside the bot."""
        before, said = signal.getsignal(signal.SIGTERM), io.StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                code = main(list(words) if "--state-dir" in words else [*words, "--state-dir", str(self.folder)])
        finally:
            signal.signal(signal.SIGTERM, before)
        with (self.place / "said").open("a") as file:
            file.write(f"$ tradebot {' '.join(words)}\n{said.getvalue()}= {code}\n")
        self.ends.setdefault(words[0] if words[0] != "--debug" else words[1], []).append(code)
        return code

    def all_say(self, *lines: str) -> None:
        """Run command lines one after another, as documents and as texts."""
        for line in lines:
            for form in ("--json", ""):
                self.says(*line.split(), *form.split())

    def dies(self, hook: Callable[[str], None], *words: str) -> int:
        """Run a command line in a fork with this hook at its failpoints; return how the fork ended."""
        child = os.fork()
        if not child:
            code = NOT_OURS
            signal.alarm(LONGEST_S)
            try:
                failpoint.hook = hook
                code = self.says(*words)
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    @contextmanager
    def echoing(self, status: int, chosen: Callable[[str, str], bool] = lambda method, path: True) -> Iterator[None]:
        """Let the chosen requests be answered by somebody who repeats what he was asked, in every form."""
        self.echoed, self.echo.script = chosen, lambda asked: Scripted(status, _repeated(asked))
        yield
        self.echoed = lambda method, path: False

    @contextmanager
    def bent(self) -> Iterator[None]:
        """Turn requests for the real services round, and take the keys off those that the exchange answers."""
        send = HTTPConnectionPool.urlopen
        echo, exchange = (connection_from_url(url, timeout=60, retries=False) for url in (self.echo.url, self.url))

        def turned(
            own: HTTPConnectionPool, method: str, url: str, body: Any, headers: Mapping[str, str], **kwargs: Any
        ) -> BaseHTTPResponse:
            if own.host != "127.0.0.1":
                self.sent += [(method, name) for name in found_in(f"{url} {dict(headers)}".encode())]
                if self.echoed(method, urlsplit(url).path):
                    own = echo
                else:
                    own, headers = exchange, {**headers, **_let_in(headers)}
            return send(own, method, url, body, headers, **kwargs)

        # Its folder lasts, whatever disk this machine keeps tests on.
        with pytest.MonkeyPatch.context() as patch, table(b"/dev/vda / ext4 rw 0 0\n"):
            patch.setattr(HTTPConnectionPool, "urlopen", turned)
            patch.setattr(App, "second_time", lambda app: LockStepClock(self.url).now_or_none())
            yield


def _let_in(headers: Any) -> dict[str, str]:
    own = {"APCA-API-KEY-ID": "sandbox", "APCA-API-SECRET-KEY": "sandbox", "Authorization": "Bearer sandbox"}
    return {name: value for name, value in own.items() if name in headers}


def _repeated(asked: Asked) -> dict[str, str]:
    """Return what a careless service makes of a request: its headers, as they are and packed in each way."""
    shown = {**asked.headers, "asked": asked.path}
    text = " ".join(f"{name}: {value}" for name, value in shown.items() if found_in(value.encode()))
    raw = text.encode()
    packed = base64.b64encode(raw), base64.b64encode(b"." + raw), base64.urlsafe_b64encode(b".." + raw)
    quoted = quote(text, safe="")
    return {"message": f"{text} {raw.hex()} {quoted} {b' '.join(packed).decode()}"}


def found_in(data: bytes) -> set[str]:
    """Return which canaries are in some bytes: as they are, escaped, in an address, as hexadecimal, in base64."""
    texts = [data, data.replace(b"\\/", b"/"), unquote_to_bytes(data), data.replace(b"\0", b"")]
    for run in set(RUN.findall(data)):
        texts += _unpacked(run)
    return {name for name, key in CANARIES.items() if any(key.encode() in text for text in texts)}


def _unpacked(run: bytes) -> Iterator[bytes]:
    standard = run.translate(bytes.maketrans(b"-_", b"+/")).replace(b"=", b"")
    for start in range(4):
        part = standard[start:]
        # One character alone holds no byte.
        part = part[:-1] if len(part) % 4 == 1 else part
        yield base64.b64decode(part + b"=" * (-len(part) % 4))
    if re.fullmatch(rb"[0-9a-fA-F]+", run):
        yield bytes.fromhex(run[: len(run) // 2 * 2].decode())


def left_in(place: Path) -> list[str]:
    """Return every file below a folder whose name or content holds a canary, but for the file of keys."""
    found = []
    for path in sorted(place.rglob("*")):
        content = path.read_bytes() if path.is_file() and path.name != ENV_FILE else b""
        found += [f"{name} in {path.relative_to(place)}" for name in found_in(content + os.fsencode(path.name))]
    return found


@contextmanager
def lived(place: Path) -> Iterator[KeyedBot]:
    """Yield a bot of real money after its life: trades, refusals that repeat its keys, deaths, damage, recovery."""
    watched = _watched()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        _furnish(place, patch)
        # Whoever has keys exported has them in every shell, the sandbox's too.
        stack.enter_context(environment({"ALPACA_KEY": KEY, "ALPACA_SECRET": SECRET, "AGAIN": f"key={SECRET}"}))
        sandbox = stack.enter_context(made(place / "sandbox", "--sessions", "3"))
        life = KeyedBot(place, process.ensure_running(sandbox / "exchange").url, stack.enter_context(serving()))
        with (place / ENV_FILE).open("a") as file:
            file.write(f"NOTIFY_PHONE={life.echo.url}/{HOOK}\nAWS_ENDPOINT_URL_S3={life.echo.url}\n")
            file.write(f"AWS_ACCESS_KEY_ID={CLOUD_KEY}\nAWS_SECRET_ACCESS_KEY={CLOUD_SECRET}\n")
        with watched(life.started):
            _second_session(life)
            real_folder(sandbox, life.folder)
            tail = json.loads((life.folder / "state.id").read_text())["account_number"][-4:]
            plugged = f"strategies: {{canary: {{keys: {place / ENV_FILE}}}, "
            (life.folder / "tradebot.yaml").write_text(
                SETTINGS.replace("strategies: {", plugged)
                + FEW_PASSES
                + "chat: {telegram: {}}\nnotify: {channels: {phone: {}}}\n"
            )
            accept(life.folder)
            stack.enter_context(environment(dict(spoken(tail))))
            stack.enter_context(life.bent())
            _trade(life, tail)
            _meet_echoes(life)
            _die(life)
            _recover(life, tail)
            _be_asked(life)
        yield life


def _be_asked(life: KeyedBot) -> None:
    """Answer every question about health, and keep the answers beside the bot."""
    with open_app(Options(str(life.folder)), os.environ) as app, web.serve_pages(app, [0]) as (port,):
        for question in ("healthz", "readyz", "health", "metrics", "system-events?last=500"):
            answer = requests.get(f"http://127.0.0.1:{port}/{question}", timeout=LONGEST_S)
            life.ends.setdefault("asked", []).append(answer.status_code)
            (life.place / f"answer-{question.partition('?')[0]}").write_bytes(answer.content)


def _furnish(place: Path, patch: pytest.MonkeyPatch) -> None:
    """Put the file of keys and the plug-in where they are found, and let all that is temporary be kept here."""
    (place / ENV_FILE).touch(0o600)
    (place / ENV_FILE).write_text(f"UW_API_KEY={FLOW}\nCHAT_TELEGRAM_TOKEN={CHAT}\n")
    (place / "temporary").mkdir()
    (place / "canary_plugin.py").write_text(PLUGIN)
    info = place / "canary-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: canary\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tradebot.strategies]\ncanary = canary_plugin:Canary\n")
    patch.chdir(place)
    patch.syspath_prepend(place)
    for name in ("HOME", "TMPDIR"):
        patch.setenv(name, str(place / "temporary"))


@contextmanager
def _listening(heard: list[list[str]], into: list[str]) -> Iterator[None]:
    heard.append(into)
    yield
    heard.remove(into)


def _watched() -> Callable[[list[str]], Any]:
    """Return what notes, while it lasts, the arguments and the environment of each process that is started here."""
    heard: list[list[str]] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if heard and event == "subprocess.Popen":
            _, command, _, given = arguments
            heard[-1].append(repr((command, dict(os.environ if given is None else given))))

    sys.addaudithook(hook)
    return lambda into: _listening(heard, into)


def _second_session(life: KeyedBot) -> None:
    own = ("--state-dir", str(life.sandbox))
    for step in ("close", "next_open", "30m"):
        life.says("exchange", "tick", step, *own)
    for line in ("fetch-flow", "trade-once", "status --json", "backup", "schedule run backup", "exchange status"):
        life.says(*line.split(), *own)


def _trade(life: KeyedBot, tail: str) -> None:
    with at_a_terminal(tail):
        life.says("live", "arm", "--json")
    life.all_say("reconcile", "fetch-flow", "score", "score --explain AAPL", "trade-once --force-slot")
    for symbol in ("AAPL", "MSFT"):
        _wants(life, symbol)
    life.says("exchange", "tick", "5m", "--state-dir", str(life.sandbox))
    _look(life)


def _wants(life: KeyedBot, symbol: str, *flags: str) -> int:
    lines = lines_for(life.place / "lines", symbol)
    return life.says(*flags, "trade-once", "--force-slot", "--candidates", str(lines))


def _look(life: KeyedBot) -> None:
    """Ask everything that only looks."""
    life.all_say("reconcile", "status", "orders --all", "events", "why-no-orders", "doctor")
    incidents = (f"incident {name} --out {life.place}/incident-{at}" for at, name in enumerate(passes_in(life.folder)))
    for line in (*incidents, *LOOKS):
        life.says(*line.split(), "--json")


def _meet_echoes(life: KeyedBot) -> None:
    """Let every kind of request be answered with the keys that it showed."""
    posts: Callable[[str, str], bool] = lambda method, path: method == "POST"  # noqa: E731 - one line says it
    for status, symbol in ((422, "NVDA"), (500, "AMZN")):
        with life.echoing(status, posts):
            _wants(life, symbol, "--debug")
    with life.echoing(404, lambda method, path: path.startswith("/bot")):
        for line in ("chat pair", "--debug chat listen --once", "chat status", "chat revoke"):
            life.says(*line.split())
    with life.echoing(403):
        for line in ("backup --to s3://copies/canary", "restore --from s3://copies/canary", "notify test phone"):
            life.says("--debug", *line.split())
        life.says("notify", "test", "phone", "--confirm", "000000")
    flow: Callable[[str, str], bool] = lambda method, path: path.startswith("/api/")  # noqa: E731 - one line says it
    for status in (200, 400, 422):
        with life.echoing(status, flow):
            life.says("fetch-flow", "--force-slot")
        with life.echoing(status):
            for line in ("reconcile", "doctor --json", "--debug trade-once --force-slot"):
                life.says(*line.split())
            life.says("init", "--mode", "live", "--state-dir", str(life.place / f"refused-{status}"))
    for line in ("orders --all", "events", "why-no-orders", "status", "audit"):
        life.says(*line.split(), "--json")
    life.says("init", "--mode", "live", "--state-dir", str(life.place / "made"), "--json")


def _die(life: KeyedBot) -> None:
    """Be killed with keys in memory, and fail with keys in the error."""

    def killed(name: str) -> None:
        if name == "http.reply.after":
            os.kill(os.getpid(), signal.SIGKILL)

    def aborted(name: str) -> None:
        if name == "http.reply.before":
            faulthandler.disable()
            os.abort()

    def stopped(name: str) -> None:
        # Once it listens itself it ends after the pass at work; a second signal would end it at once.
        stop = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if isinstance(stop, StopRequest) and not stop.asked:
            os.kill(os.getpid(), signal.SIGTERM)

    def failed(name: str) -> None:
        if name == "http.request.before":
            raise RuntimeError(f"sent {CANARIES}")

    life.ends["killed"] = [life.dies(killed, "trade-once", "--force-slot"), life.dies(aborted, "reconcile")]
    ways: tuple[tuple[str, ...], ...] = (("--log", "serve.log"), ("--json",), ())
    life.ends["serve"] = [life.dies(stopped, "serve", *flags) for flags in ways]
    for words in (["--debug", "reconcile"], ["reconcile", "--json"], ["fetch-flow", "--force-slot"]):
        life.ends.setdefault("failed", []).append(life.dies(failed, *words))


def _recover(life: KeyedBot, tail: str) -> None:
    """Have the books copied, damaged, put away and made again, with every dump that this leaves."""
    life.all_say("backup", "backup", "halt --nonsense", "halt --reason canary")
    book = life.folder / "ledger.db"
    book.write_bytes(book.read_bytes()[:8000])
    for line in ("trade-once --force-slot", "recover --json", "status", "journal verify --json"):
        life.says(*line.split())
    (rebuilt,) = (life.folder / "quarantine").glob("rebuilt-*.json")
    with at_a_terminal(tail):
        life.says("recover", "--accept", rebuilt.stem)
    for words in (("cancel", "canary"), ("flatten", "--all"), ("unhalt",), ("restore", _newest(life))):
        with at_a_terminal("ALL" if "flatten" in words else tail):
            life.says(*words)


def _newest(life: KeyedBot) -> str:
    return max(path.name for path in (life.folder / "backups").glob("2*"))


def environments(place: Path) -> Sequence[Path]:
    """Return what the kernel tells of each exchange that is served below a folder: its environment and arguments."""
    ports = [json.loads(path.read_text()) for path in place.rglob("exchange.port")]
    return [Path(f"/proc/{port['pid']}/{what}") for port in ports for what in ("environ", "cmdline")]


pytestmark = pytest.mark.campaign


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedBot]:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    with without_nursery(), lived(tmp_path_factory.mktemp("canary")) as life:
        yield life
    resource.setrlimit(resource.RLIMIT_CORE, (min(before[0], before[1]), before[1]))


def test_files_left_by_a_full_life_hold_no_key(life: KeyedBot, record_property: Callable[[str, object], None]) -> None:
    assert left_in(life.place) == []
    record_property("command lines whose leavings were searched for keys", sum(map(len, life.ends.values())))


def test_no_process_was_started_with_a_key_in_its_arguments_or_its_environment(life: KeyedBot) -> None:
    assert [text for text in life.started if found_in(text.encode())] == []
    assert any("tradebot.adapters.plugins.plugin_worker" in text for text in life.started)
    told = [path for path in environments(life.place) if path.exists()]
    assert [path for path in told if found_in(path.read_bytes())] == []


def test_life_sent_every_key_over_the_wire(life: KeyedBot) -> None:
    assert {name for method, name in life.sent if method == "GET"} == {"the key", "the secret", "the flow key"}
    own = {name for asked in life.echo.asked for name in found_in(f"{asked.path} {asked.headers}".encode())}
    assert {"the channel's address", "the bucket's key"} <= own, "a bucket's secret signs, and stays here"
    assert {name for method, name in life.sent if method == "POST"} == {"the key", "the secret", "the chat token"}


def test_life_covered_every_verb_kill_and_failure(life: KeyedBot) -> None:
    said = (life.place / "said").read_text()
    verbs = {verb.split()[0] for verb, listed in VERBS.items() if not listed.elsewhere}
    assert verbs - set(life.ends) == set()
    assert life.ends["killed"] == [-9, -6]
    assert life.ends["failed"] == [1, 1, 1]
    assert life.ends["serve"] == [0, 0, 0]
    assert "Traceback (most recent call last)" in said
    assert f"'the secret': '{HIDDEN}'" in said, "what failed would have told"
    assert f"it reached nothing, and UW_API_KEY={HIDDEN}" in said, "what the plug-in knows would have been told"
    for kept in ("ledger.db", "journal.jsonl", "system_events.jsonl", "facts.db"):
        assert HIDDEN.encode() in (life.folder / kept).read_bytes(), kept
    assert list((life.folder / "quarantine").glob("*/ledger.db"))
    assert len(list((life.folder / "backups").glob("2*"))) >= 2


FORMS = {
    "plain": SECRET,
    "in JSON": SECRET.replace("/", "\\/"),
    "in an address": quote(SECRET, safe=""),
    "hexadecimal": SECRET.encode().hex(),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 with a name": base64.b64encode(f"user:{SECRET}".encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(f"?{SECRET}".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_search_finds_a_key_in_every_form(form: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "dump.bin").write_bytes(b"\0\xff" + FORMS[form].encode() + b"\n")
    assert left_in(tmp_path) == ["the secret in deep/dump.bin"]
