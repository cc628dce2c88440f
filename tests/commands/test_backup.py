"""`backup` and `restore`, here and off the machine, in a folder and in a bucket."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from commands.backup import backup_after_session
from commands.shared.evidence.machine import backups_of
from tests.kit import ledgers
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.bot.state import configure
from tests.kit.core.evidence import at
from tests.kit.fakes.failpoints import at_point, raising
from tests.kit.fakes.receivers import KEY, NAME, SECRET, Bucket
from tests.kit.ledgers import edit
from tests.kit.rows import DAY, minutes
from tests.kit.values import SHIPPED
from tradebot.adapters.ledger.integrity import IntegrityCache
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.recovery import backups, quarantine
from tradebot.adapters.state import halt_switch
from tradebot.adapters.state.state_folder import BACKUPS, StateFolder, read_marker
from tradebot.app.plugin_surroundings import without_keys
from tradebot.app.wiring import App
from tradebot.errors import DamagedBooksError
from tradebot.judging.evidence import BackupEvidence
from tradebot.judging.judgment import HealthState
from tradebot.judging.pass_health import judge_subject
from tradebot.model.event import EventKind
from tradebot.model.trading import Mode
from tradebot.timetable.sessions import failed_backup


@pytest.fixture
def usb(tmp_path: Path) -> Path:
    place = tmp_path / "usb"
    place.mkdir()
    return place


def files(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def refused(number: int) -> Callable[[], None]:
    return raising(OSError(number, os.strerror(number)))


def test_copy_has_the_bytes_of_the_backup_and_the_next_one_sends_only_what_is_new(copy: Bot, usb: Path) -> None:
    assert copy.json("backup", "--to", str(usb))["copied_to"] == str(usb)
    before = {path: path.stat().st_ino for path in usb.rglob("*") if path.is_file()}
    assert f"Copied off this machine and verified there: {usb}" in copy.says("backup", "--to", str(usb)).out
    # A part without bytes isn't needed by any backup.
    assert files(usb) == {name: content for name, content in files(copy.folder / BACKUPS).items() if content}
    assert {path: path.stat().st_ino for path in before} == before


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free up space there"),
        pytest.param(errno.EROFS, "make it writable", marks=pytest.mark.campaign),
        pytest.param(errno.EIO, "that its disk", marks=pytest.mark.campaign),
    ],
)
def test_place_that_refuses_is_named_with_the_next_step_and_the_next_try_completes_it(
    number: int, advice: str, copy: Bot, usb: Path
) -> None:
    with at_point("offsite_copy.sync.before", refused(number)):
        said = copy.says("backup", "--to", str(usb))
    assert (said.code, os.strerror(number) in said.err, advice in said.err) == (2, True, True)
    assert "was made, but not copied" in said.err
    assert files(usb) == {}, "no draft is left"
    assert len(list((copy.folder / BACKUPS).glob("*-by-hand"))) == 1, "the backup is here all the same"
    assert copy.says("backup", "--to", str(usb)).code == 0


def test_copy_that_is_cut_off_is_no_backup_and_the_next_try_completes_it(copy: Bot, usb: Path) -> None:
    def cut() -> None:
        if len(files(usb)) > 1:
            raise KeyboardInterrupt

    with at_point("offsite_copy.put.before", cut):
        assert copy.says("backup", "--to", str(usb)).code == 130
    assert files(usb)
    assert "has no backup" in copy.says("restore", "--from", str(usb)).err
    assert copy.says("backup", "--to", str(usb)).code == 0


def test_bytes_that_change_on_the_way_never_get_their_name(copy: Bot, usb: Path) -> None:
    def cut_short() -> None:
        for draft in usb.rglob(".new-*"):
            os.truncate(draft, 10)

    with at_point("offsite_copy.sync.after", cut_short):
        said = copy.says("backup", "--to", str(usb))
    assert (said.code, "it has 10 of" in said.err) == (5, True)
    assert files(usb) == {}


def test_folder_that_is_not_there_isnt_made(copy: Bot, tmp_path: Path) -> None:
    refuses(copy.says("backup", "--to", str(tmp_path / "unplugged")), 2, "connect or mount its disk")
    assert not (tmp_path / "unplugged").exists()
    assert not (copy.folder / BACKUPS).exists()


def test_another_backup_of_the_same_name_is_left_as_it_is(copy: Bot, usb: Path) -> None:
    copy.says("backup", "--to", str(usb))
    (part,) = usb.glob("parts/*.ledger.db")
    part.write_bytes(b"of another bot")
    refuses(copy.says("backup", "--to", str(usb)), 2, f"{usb} has a different parts/{part.name}")
    assert part.read_bytes() == b"of another bot"
    fresh = copy.folder.parent / "fresh"
    said = copy.says("restore", "--from", str(usb), "--state-dir", str(fresh), "--confirm", copy.tail())
    assert (said.code, "has changed since the backup was made" in said.err) == (2, True)


@pytest.mark.parametrize("words", [("--list", "--session"), ("--list", "--to", "x"), ("--session", "--to", "x")])
def test_options_that_contradict_each_other_are_refused(words: tuple[str, ...], copy: Bot) -> None:
    assert copy.says("backup", *words).code == 2


def test_backup_comes_back_onto_an_empty_machine_once_a_person_confirms(copy: Bot, usb: Path, tmp_path: Path) -> None:
    name = copy.json("backup", "--to", str(usb))["made"]["name"]
    there, fills = tmp_path / "there", copy.json("fills")
    asked = copy.says("restore", "--from", str(usb), "--state-dir", str(there), "--confirm", "0000")
    assert (asked.code, (there / "ledger.db").exists()) == (3, False)
    back = Bot(there, copy._capture)
    said = back.says("restore", "--from", str(usb), "--confirm", copy.tail(), "--json")
    assert (said.code, said.data["ledger"].endswith(name)) == (10, True)
    assert read_marker(there) == read_marker(copy.folder)._replace(path=there)
    assert back.json("fills") == fills
    assert "REDUCE_ONLY" in back.says("status").out
    twice = back.says("restore", name, "--from", str(usb), "--confirm", copy.tail())
    assert twice.code == 10, "the books that are replaced are in the quarantine"


def test_restoring_over_what_is_not_a_bot_or_from_nothing_is_refused(copy: Bot, usb: Path, tmp_path: Path) -> None:
    assert "has no backup" in copy.says("restore", "--from", str(usb)).err
    assert copy.says("restore").code == 2
    copy.says("backup", "--to", str(usb))
    assert "has no backup nonsense" in copy.says("restore", "nonsense", "--from", str(usb)).err
    other = tmp_path / "other"
    other.mkdir()
    (other / "letters.txt").write_text("private")
    refuses(copy.says("restore", "--from", str(usb), "--state-dir", str(other)), 2, "neither empty nor a state folder")
    assert files(other) == {"letters.txt": b"private"}


@pytest.mark.parametrize("inside", ["", "backups", "backups/.."])
def test_folder_of_the_bot_itself_is_no_place_off_the_machine(copy: Bot, inside: str) -> None:
    copy.says("backup")
    before = set(files(copy.folder / BACKUPS))
    refuses(copy.says("backup", "--to", f"{copy.folder}/{inside}"), 2, "is in the bot's own folder")
    assert set(files(copy.folder / BACKUPS)) == before
    assert not (copy.folder / "parts").exists()


@pytest.mark.parametrize("damage", [lambda part: part.write_bytes(b"damaged"), Path.unlink], ids=["changed", "gone"])
def test_part_damaged_here_comes_back_from_the_copy(copy: Bot, usb: Path, damage: Callable[[Path], object]) -> None:
    copy.says("backup", "--to", str(usb))
    (part,) = (copy.folder / BACKUPS).glob("parts/*.ledger.db")
    whole = part.read_bytes()
    damage(part)
    assert copy.says("backup", "--list").code == 10
    assert copy.says("restore", "--from", str(usb), "--confirm", "0000").code == 3
    assert part.read_bytes() == whole
    assert copy.says("backup", "--list").code == 0


def test_part_that_is_damaged_here_and_in_the_copy_stays_as_it_is_here(copy: Bot, usb: Path) -> None:
    copy.says("backup", "--to", str(usb))
    for place, content in ((copy.folder / BACKUPS, b"here"), (usb, b"there")):
        (part,) = place.glob("parts/*.ledger.db")
        part.write_bytes(content)
    said = copy.says("restore", "--from", str(usb), "--confirm", copy.tail())
    assert (said.code, "has changed since the backup was made" in said.err) == (2, True)
    assert files(copy.folder / BACKUPS)[f"parts/{part.name}"] == b"here"


def test_backup_of_another_bot_is_refused_before_it_is_copied(copy: Bot, usb: Path) -> None:
    name = copy.json("backup", "--to", str(usb))["made"]["name"]
    shutil.rmtree(copy.folder / BACKUPS)
    manifest = usb / name / "manifest.json"
    manifest.write_text(manifest.read_text().replace(read_marker(copy.folder).id, "of-another-bot"))
    said = copy.says("restore", "--from", str(usb), "--confirm", copy.tail())
    assert (said.code, "is a backup of another bot's books" in said.err) == (2, True)
    assert "--state-dir FOLDER" in said.err
    assert files(copy.folder / BACKUPS) == {}


def test_damaged_manifest_is_named_and_an_empty_place_makes_no_bot(copy: Bot, usb: Path, tmp_path: Path) -> None:
    refuses(copy.says("restore", "--from", str(usb), "--state-dir", str(tmp_path / "there")), 2, "has no backup")
    assert not (tmp_path / "there").exists()
    name = copy.json("backup", "--to", str(usb))["made"]["name"]
    (usb / name / "manifest.json").write_text("{")
    said = copy.says("restore", "--from", str(usb), "--state-dir", str(tmp_path / "there"))
    assert (said.code, f"{name} in {usb} is damaged" in said.err) == (2, True)


def test_manifest_that_names_a_file_elsewhere_is_refused(copy: Bot, usb: Path, tmp_path: Path) -> None:
    manifest = usb / copy.json("backup", "--to", str(usb))["made"]["name"] / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"state.id"', '"../../../state.id"'))
    said = copy.says("restore", "--from", str(usb), "--state-dir", str(tmp_path / "there"))
    assert (said.code, "names a file outside the backup" in said.err) == (2, True)


def test_chore_copies_a_sessions_backup_and_failure_is_told_until_success(copy: Bot, usb: Path, tmp_path: Path) -> None:
    assert backups.backup_session(read_marker(copy.folder), date(2026, 11, 16), datetime.now(UTC), max_count=3)
    configure(copy.folder, f"storage: {{backup_to: {usb}}}")
    shutil.move(usb, tmp_path / "unplugged")
    assert "there is no folder" in copy.says("backup", "--session").err
    (event,) = [each for each in copy.json("events")["events"] if each["event_type"] == "not_copied"]
    assert event["details"]["name"] == copy.json("backup", "--list")["kept"][0]
    row = next(row for row in copy.json("health")["judgments"] if row["subject"] == "backup")
    assert (row["state"], "was not copied off the machine: there is no folder" in row["found"]) == ("DEGRADED", True)
    own = copy.folder / "tradebot.yaml"
    own.write_text(own.read_text().replace(str(usb), "null"))
    assert next(row for row in copy.json("health")["judgments"] if row["subject"] == "backup")["state"] != "DEGRADED"
    own.write_text(own.read_text().replace("backup_to: null", f"backup_to: {usb}"))
    shutil.move(tmp_path / "unplugged", usb)
    assert copy.json("backup", "--session")["copied_to"] == str(usb)
    assert (usb / event["details"]["name"] / "manifest.json").exists()
    row = next(row for row in copy.json("health")["judgments"] if row["subject"] == "backup")
    assert row["state"] != "DEGRADED"


BUCKET = f"s3://{NAME}/bots/one"


def here(copy: Bot) -> dict[str, bytes]:
    root = copy.folder / BACKUPS
    found = {f"bots/one/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if content}


def test_copy_has_the_backups_bytes_and_returns_to_an_empty_machine(copy: Bot, cloud: Bucket, tmp_path: Path) -> None:
    for _ in range(2):
        assert copy.json("backup", "--to", BUCKET)["copied_to"] == BUCKET
    assert {name: content for name, (content, _) in cloud.objects.items()} == here(copy)
    back = Bot(tmp_path / "there", copy._capture)
    said = back.says("restore", "--from", BUCKET, "--confirm", copy.tail(), "--json")
    assert (said.code, said.data["compared"]) == (10, False)
    assert back.json("orders") == copy.json("orders")


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIDOFSOMEBODY"}, 4, "refuses the keys: "),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 4, "needs keys"),
        pytest.param(
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"},
            5,
            "doesn't answer: EndpointConnectionError",
            marks=pytest.mark.campaign,
        ),
        pytest.param({"AWS_ENDPOINT_URL_S3": "nonsense"}, 5, "doesn't answer: ValueError", marks=pytest.mark.campaign),
    ],
)
def test_bucket_that_cannot_be_reached_is_told_without_a_key(
    change: dict[str, str], code: int, told: str, copy: Bot, cloud: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in change.items():
        monkeypatch.setenv(name, text) if text else monkeypatch.delenv(name)
    said = copy.says("--debug", "backup", "--to", BUCKET)
    assert (said.code, told in said.err, "\n  next: " in said.err) == (code, True, True), said.err
    assert [key for key in (KEY, SECRET, "AKIDOFSOMEBODY") if key in said.out + said.err] == []
    assert cloud.objects == {}


@pytest.mark.campaign
def test_bucket_that_is_missing_or_unnamed_is_told(copy: Bot, cloud: Bucket) -> None:
    refuses(copy.says("backup", "--to", "s3://another/bots"), 2, "there is no bucket another")
    assert "names no bucket" in copy.says("backup", "--to", "s3://").err


@pytest.mark.campaign
def test_copy_to_a_bucket_that_is_cut_off_is_no_backup(copy: Bot, cloud: Bucket) -> None:
    cloud.cut_after = 1
    refuses(copy.says("backup", "--to", BUCKET), 5, "was made, but not copied")
    assert len(cloud.objects) == 1
    assert "has no backup" in copy.says("restore", "--from", BUCKET).err
    cloud.cut_after = None
    assert copy.says("backup", "--to", BUCKET).code == 0
    assert copy.says("restore", "--from", BUCKET, "--confirm", copy.tail()).code == 10


@pytest.mark.campaign
def test_full_bucket_and_lost_bytes_are_told(copy: Bot, cloud: Bucket) -> None:
    cloud.is_full = True
    assert "refused the request: InsufficientStorage" in copy.says("backup", "--to", BUCKET).err
    cloud.is_full, cloud.loses_bytes = False, True
    refuses(copy.says("backup", "--to", BUCKET), 5, "it has 10 of")


@pytest.mark.campaign
def test_another_object_of_the_same_name_is_left_as_it_is(copy: Bot, cloud: Bucket) -> None:
    copy.says("backup", "--to", BUCKET)
    (part,) = (name for name in cloud.objects if name.endswith(".ledger.db"))
    cloud.objects[part] = b"of another bot", ""
    refuses(copy.says("backup", "--to", BUCKET), 2, f"{BUCKET} has a different parts/")
    assert cloud.objects[part] == (b"of another bot", "")


def test_plugin_sees_neither_the_keys_of_the_bucket_nor_a_channels_address() -> None:
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "NOTIFY_PHONE", "PATH")
    assert without_keys(dict.fromkeys(names, "x"), "alpaca") == {"PATH": "x"}


CLOSE = minutes(390)


@pytest.fixture
def own(tmp_path: Path) -> StateFolder:
    return ledgers.make(tmp_path / "state")


@pytest.fixture
def app(own: StateFolder) -> Iterator[App]:
    """Yield as much of a bot as its backups need."""
    with closing(SqliteLedger.open(own.path)) as ledger:
        parts = {"folder": own, "ledger": ledger, "ledger_view": ledger, "events": MemoryEvents(), "settings": SHIPPED}
        yield cast("App", SimpleNamespace(**parts, mode=Mode.SANDBOX, facts=SimpleNamespace(prune=lambda *_: None)))


def tries(app: App) -> int:
    return sum(
        event.event_type == EventKind.BACKUP_FAILED.event_type for event in cast("MemoryEvents", app.events).emitted
    )


def block(own: Path) -> Path:
    (own / "backups").write_text("in the way")
    return own / "backups"


def test_failed_backup_doubles_its_wait_after_each_failure(app: App, own: StateFolder) -> None:
    way, now, waits = block(own.path), CLOSE, []
    for number in range(1, 8):
        assert backup_after_session(app, now)
        assert (tries(app), backup_after_session(app, now)) == (number, False)
        with closing(SqliteLedger.open(own.path, read_only=True)) as other:
            failed = failed_backup(other, DAY)
        assert failed is not None
        assert not backup_after_session(app, failed.again_at - timedelta(seconds=1))
        waits.append((failed.again_at - now) / timedelta(minutes=1))
        now = failed.again_at
    assert waits == [10, 20, 40, 80, 160, 240, 240]
    assert backup_after_session(app, now - timedelta(minutes=1), at_once=True), (
        "whoever asks for it by name doesn't wait"
    )
    way.unlink()
    assert backup_after_session(app, now + timedelta(hours=4))
    assert [place.name[-18:] for place in backups.places(own.path)] == [f"session-{DAY}"]


def test_health_reports_a_failed_backup_until_one_succeeds(app: App, own: StateFolder) -> None:
    def health(now: datetime) -> tuple[HealthState, str]:
        seen = backups_of(app, app.ledger.sessions(DAY, DAY), now, thorough=False)
        assert isinstance(seen, BackupEvidence)
        found = judge_subject("backup", at(now, backup=seen))
        return found.state, found.found

    way, now = block(own.path), CLOSE + timedelta(minutes=1)
    backup_after_session(app, now)
    way.unlink()
    state, text = health(now)
    assert state is HealthState.DEGRADED
    assert f"the last try failed at {DAY} 21:31 UTC (" in text, text
    assert f"); the next is at {DAY} 21:41 UTC" in text, text
    backup_after_session(app, now, at_once=True)
    assert health(now)[0] is HealthState.OK


def test_backup_that_finds_damage_halts_despite_a_note_of_soundness(app: App, own: StateFolder) -> None:
    app.ledger.file.check()
    edit(own.path / "ledger.db", "UPDATE fills SET body = '{}'")
    # What flips on the disk itself changes neither times nor versions, so the note still says what it said.
    note = IntegrityCache(own.path)
    note.begin(note.look(), 0)
    note.keep(patient=True)
    with closing(SqliteLedger.open(own.path, read_only=True)) as books:
        books.file.check()
    with pytest.raises(DamagedBooksError, match="moved to"):
        backup_after_session(app, CLOSE)
    assert not halt_switch.is_armed(own.path)
    assert len(quarantine.places(own.path)) == 1
