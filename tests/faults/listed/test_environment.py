"""Faults 23 to 36: what the environment says, or fails to say, of permission, keys and addresses."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.adapters.alpaca import account_row, reader
from tests.kit.bot.folder import PROGRAM, Bot, Said
from tests.kit.bot.real_money import environment, lines_for, spoken, writes
from tests.kit.fakes.scripted import Scripted, Wire
from tradebot.__main__ import main
from tradebot.app.keys import load_secrets
from tradebot.errors import OperatorError
from tradebot.gates.permission import PermissionInputs, permission_of
from tradebot.model.reasons import Reason
from tradebot.model.trading import Mode
from tradebot.venues.alpaca.wire import DATA_URL, LIVE_URL, PAPER_URL, check_credentials

# Put together here, so that no text in the tree looks like a key.
PAPER_KEY, LIVE_KEY = "PK" + "0" * 18, "AK" + "0" * 18
NUMBER = "912345678"
OPEN = {"ALLOW_ORDERS": "true", "ENABLE_ORDER_EXEC": "true", "DRY_RUN": "false"}


@pytest.fixture(scope="module")
def ready(folder: Path) -> Path:
    """Return the folder of a bot that is half an hour into its second session and about to trade."""
    for verb in ("exchange tick close", "exchange tick next_open", "exchange tick 30m", "fetch-flow", "reconcile"):
        assert main([*verb.split(), "--state-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def trader(ready: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return that bot."""
    return Bot(ready, capsys)


def ordering(bot: Bot, path: Path, symbol: str, gates: dict[str, str]) -> tuple[int, str | None, int]:
    """Let a bot want to buy under these gates: its exit code, why it did not, and the orders that went out."""
    before = len(writes(bot.folder))
    with environment(gates):
        lines = str(lines_for(path, symbol))
        said = bot.says("trade-once", "--candidates", lines, "--force-slot", "--json")
    (row,) = said.data["rows"]
    return said.code, row["reason"], len(writes(bot.folder)) - before


KEPT_BACK = (3, "ORDER_GATE_CLOSED", 0)


def closed_to_real_money(**changes: str | None) -> bool:
    """Tell whether real money is kept back by its gates, where all else is said and these differ."""
    said = {**spoken(NUMBER[-4:]), **changes}
    told = PermissionInputs(
        Mode.LIVE, "live", NUMBER, {name: text for name, text in said.items() if text is not None}, None
    )
    return Reason.ORDER_GATE_CLOSED in [reason for reason, _ in permission_of(told).closed]


def test_fault_023_order_gate_with_a_blank(trader: Bot, tmp_path: Path) -> None:
    """Nothing is sent, whether it is in the environment or in .env; `live status` shows the space."""
    wanted = tmp_path / "wanted.jsonl"
    assert ordering(trader, wanted, "AAPL", OPEN | {"ALLOW_ORDERS": "true "}) == KEPT_BACK
    assert ordering(trader, wanted, "AAPL", OPEN) == (0, None, 1)
    assert ordering(trader, wanted, "AAPL", OPEN | {"DRY_RUN": "false "}) == KEPT_BACK
    with environment({"DRY_RUN": "false "}):
        shown = " ".join(trader.says("live", "status").out.split())
        assert "DRY_RUN has an unclear value: 'false ' has a space" in shown
    with environment({"TRADING_MODE": "sandbox "}):
        said = trader.says("trade-once", "--force-slot")
    assert (said.code, "TRADING_MODE says 'sandbox ', but" in said.err) == (2, True)
    assert closed_to_real_money(ALLOW_ORDERS="true ")
    assert closed_to_real_money(DRY_RUN="\tfalse")
    assert not closed_to_real_money()


def test_fault_024_order_gate_as_a_full_width_digit(trader: Bot, tmp_path: Path) -> None:
    """Nothing is sent: a character that only looks like a documented value doesn't count."""
    assert ordering(trader, tmp_path / "wanted.jsonl", "MSFT", OPEN | {"ALLOW_ORDERS": "\uff11"}) == KEPT_BACK
    assert closed_to_real_money(ENABLE_ORDER_EXEC="\uff11")


def test_fault_025_dry_run_unset(trader: Bot, tmp_path: Path) -> None:
    """With real money nothing is sent; the sandbox, which earlier bots didn't have, trades."""
    assert closed_to_real_money(DRY_RUN=None)
    assert closed_to_real_money(DRY_RUN="")
    gates = {name: text for name, text in OPEN.items() if name != "DRY_RUN"}
    assert ordering(trader, tmp_path / "wanted.jsonl", "MSFT", gates) == (0, None, 1)


def test_fault_026_gates_that_contradict_each_other(trader: Bot, tmp_path: Path) -> None:
    """Nothing is sent: one gate that says no is enough."""
    assert ordering(trader, tmp_path / "wanted.jsonl", "NVDA", OPEN | {"DRY_RUN": "true"}) == KEPT_BACK
    assert ordering(trader, tmp_path / "wanted.jsonl", "NVDA", OPEN | {"ENABLE_ORDER_EXEC": "no"}) == KEPT_BACK
    assert closed_to_real_money(DRY_RUN="true")


@pytest.mark.parametrize("ending", ["\n", "\r\n", " \t\r\n"])
def test_fault_027_key_with_a_line_end(tmp_path: Path, ending: str) -> None:
    """The line end is removed, in the environment and in .env; one inside a key is refused and never shown."""
    file = tmp_path / ".env"
    file.write_bytes(f"ALPACA_SECRET=secret-of-mine{ending}UW_API_KEY=flow-of-mine{ending}".encode())
    file.chmod(0o600)
    found = load_secrets({"ALPACA_KEY": f"key-of-mine{ending}"}, file, "alpaca")
    assert found.venue == {"alpaca_key": "key-of-mine", "alpaca_secret": "secret-of-mine"}
    assert found.uw_key == "flow-of-mine"
    with pytest.raises(OperatorError, match="ALPACA_KEY contains quotes, spaces or other") as caught:
        check_credentials(Mode.PAPER, f"key-of{ending}mine", PAPER_URL)
    assert "mine" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("quoted", ['"key-of-mine"', "'key-of-mine'", "\"'key-of-mine'\""])
def test_fault_028_quotes_kept_in_a_key(tmp_path: Path, quoted: str) -> None:
    """The quotes are removed; a quote inside a key is refused."""
    found = load_secrets({"ALPACA_KEY": quoted}, tmp_path / "none", "alpaca")
    assert found.venue == {"alpaca_key": "key-of-mine"}
    with pytest.raises(OperatorError, match="ALPACA_KEY contains quotes"):
        check_credentials(Mode.PAPER, quoted, PAPER_URL)


@pytest.fixture
def nobody(here: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield where a bot is to be made, in a folder without a file of keys; nothing may have been made at the end."""
    yield Bot(here / "bot", capsys)
    assert not (here / "bot").exists()


def begun(bot: Bot, mode: str, key: str | None = None, url: str | None = None) -> Said:
    """Try to make a bot of a mode; a request would end otherwise, because no test reaches further than loopback."""
    secret = "never-to-be-shown"
    with environment({"ALPACA_KEY": key, "ALPACA_SECRET": key and secret, "ALPACA_BASE_URL": url}):
        said = bot.says("init", "--mode", mode)
    assert (said.code, said.out) == (2, "")
    assert secret not in said.err
    assert not key or key not in said.err
    return said


def test_fault_029_paper_key_at_the_live_address(nobody: Bot) -> None:
    """Exit 2 before any request, in either mode."""
    assert f"mode paper does not fit ALPACA_BASE_URL\n  next: Set ALPACA_BASE_URL to {PAPER_URL}" in (
        begun(nobody, "paper", PAPER_KEY, LIVE_URL).err
    )
    assert "ALPACA_KEY looks like a paper key, but the mode is live" in begun(nobody, "live", PAPER_KEY).err


def test_fault_030_live_key_at_the_paper_address(nobody: Bot) -> None:
    """Exit 2 before any request, in either mode."""
    assert f"mode live does not fit ALPACA_BASE_URL\n  next: Set ALPACA_BASE_URL to {LIVE_URL}" in (
        begun(nobody, "live", LIVE_KEY, PAPER_URL).err
    )
    said = begun(nobody, "paper", LIVE_KEY).err
    assert "ALPACA_KEY looks like a live key, but the mode is paper" in said
    assert "account, or create a bot for that mode: tradebot init --mode live --state-dir NEW\n" in said


def test_fault_031_address_without_encryption(nobody: Bot) -> None:
    """Exit 2 before any request: keys are sent over plain HTTP only to this machine."""
    url = PAPER_URL.replace("https", "http")
    assert "ALPACA_BASE_URL is not an address that the bot may talk to" in begun(nobody, "paper", PAPER_KEY, url).err


@pytest.mark.parametrize(
    "url", [PAPER_URL.replace("://", "://ann:passed@"), f"{PAPER_URL}/v2", f"{PAPER_URL}/", DATA_URL]
)
def test_fault_032_address_with_a_user_or_a_path(nobody: Bot, url: str) -> None:
    """Exit 2 before any request, and the message doesn't repeat what may be a password."""
    said = begun(nobody, "paper", PAPER_KEY, url)
    assert "ALPACA_BASE_URL is not an address that the bot may talk to" in said.err
    assert "passed" not in said.err


def test_fault_033_file_of_keys_that_others_may_read(nobody: Bot) -> None:
    """Exit 2 with the command that makes it private, or that takes ownership; no key is read from it."""
    file = Path(".env")
    file.write_text(f"ALPACA_KEY={LIVE_KEY}\nALPACA_SECRET=never-to-be-shown\n")
    file.chmod(0o644)
    assert ".env is accessible to other users\n  next: chmod 600 .env" in begun(nobody, "live").err
    file.chmod(0o600)
    if not os.geteuid():
        os.chown(file, 54_321, 54_321)
        assert ".env belongs to another user" in begun(nobody, "live").err


@pytest.mark.parametrize("kind", ["link to a wider file", "link to nowhere", "folder", "pipe"])
def test_fault_034_file_of_keys_that_is_no_plain_file(nobody: Bot, kind: str) -> None:
    """Exit 2 at once: for a link its target counts, and the bot doesn't wait for a pipe."""
    file, wide = Path(".env"), Path("wide.env")
    wide.write_text(f"ALPACA_KEY={LIVE_KEY}\nALPACA_SECRET=never-to-be-shown\n")
    wide.chmod(0o644)
    makes: dict[str, Callable[[], object]] = {
        "link to a wider file": lambda: file.symlink_to(wide),
        "link to nowhere": lambda: file.symlink_to("nowhere"),
        "folder": file.mkdir,
        "pipe": lambda: os.mkfifo(file, 0o600),
    }
    makes[kind]()
    assert ".env" in begun(nobody, "live").err


@pytest.mark.parametrize("home", [None, "/proc"], ids=["unset", "read-only"])
def test_fault_035_home_unset_or_read_only(trader: Bot, home: str | None) -> None:
    """The bot looks for nothing and keeps nothing there: a whole pass runs."""
    environ = {name: text for name, text in os.environ.items() if name not in ("HOME", "USER", "XDG_CACHE_HOME")}
    environ |= {"HOME": home} if home else {}
    command = [str(PROGRAM), "trade-once", "--dry-run", "--json", "--state-dir", str(trader.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["data"]["candidates"] > 0


def test_fault_036_proxy_certificates_and_netrc_of_the_environment(trader: Bot, wire: Wire, tmp_path: Path) -> None:
    """All three are ignored: requests go to the right address, with our keys only."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password never-to-be-sent\n")
    netrc.chmod(0o600)
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    with environment({**proxies, "NETRC": str(netrc), "REQUESTS_CA_BUNDLE": "/nowhere", "CURL_CA_BUNDLE": "/nowhere"}):
        assert trader.says("reconcile").code == 0
        wire.answer(Scripted(200, account_row()))
        reader(wire).account()
    (asked,) = wire.asked
    assert "Authorization" not in asked.headers
    assert asked.headers["APCA-API-KEY-ID"] == "sandbox"
