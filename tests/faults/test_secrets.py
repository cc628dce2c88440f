"""No key is in anything that a bot leaves behind, whatever became of it, and none is handed on."""

import base64
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from commands.shared.hints import ON_A_STATE
from tests.faults.canary import SECRET, KeyedBot, environments, found_in, left_in, lived
from tests.kit.exchange.nursery import without_nursery
from tradebot.adapters.text.redaction import HIDDEN

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
    verbs = {verb.split()[0] for verb in ON_A_STATE}
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
