"""`tradebot archive`: what goes to S3 and comes back, what health says of it, and what is told when it can't be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, Said, second_session, typed
from tests.kit.bot.state import configure
from tests.kit.fakes.receivers import NAME, Bucket

Type = Callable[..., Said]
PLACE = f"s3://{NAME}/lake"


@pytest.fixture
def type_(capsys: pytest.CaptureFixture[str]) -> Type:
    return lambda *words: typed(capsys, *map(str, words))


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    folder = tmp_path / "bars"
    (folder / "ES").mkdir(parents=True)
    (folder / "ES" / "one.csv").write_bytes(b"1,2,3\n")
    (folder / "two.csv").write_bytes(b"4,5,6\n")
    return folder


def test_bucket_has_each_content_once_and_gives_it_back_and_refuses_a_changed_byte(
    copy: Bot, cloud: Bucket, type_: Type, bars: Path, tmp_path: Path
) -> None:
    first = copy.json("archive", "push", "market_data/ES", str(bars), "--to", PLACE)
    assert (first["files"], first["bytes"], first["sent"]) == (2, 12, 2)
    before = dict(cloud.objects)
    assert copy.json("archive", "push", "market_data/ES", str(bars), "--to", PLACE) == {**first, "sent": 0}
    assert cloud.objects == before
    (row,) = type_("archive", "list", "--from", PLACE, "--json").data["versions"]
    assert (row["name"], row["version"], row["problem"]) == ("market_data/ES", first["version"], "")
    assert type_("archive", "fetch", "market_data/ES", tmp_path / "back", "--from", PLACE).code == 0
    assert (tmp_path / "back" / "ES" / "one.csv").read_bytes() == b"1,2,3\n"
    (key,) = (key for key, (content, _) in cloud.objects.items() if content == b"4,5,6\n")
    cloud.objects[key] = b"4,5,7\n", cloud.objects[key][1]
    said = copy.says("archive", "push", "market_data/ES", str(bars), "--to", PLACE)
    assert (said.code, f"push again: aws s3 rm s3://{NAME}/{key}" in said.err) == (2, True)
    said = type_("archive", "fetch", "market_data/ES", tmp_path / "again", "--from", PLACE)
    assert (said.code, "two.csv was changed in" in said.err, "\n  next: " in said.err) == (2, True, True)
    assert not (tmp_path / "again").exists()


def test_health_says_how_old_the_last_archive_is(copy: Bot, bars: Path, tmp_path: Path) -> None:
    (place := tmp_path / "usb").mkdir()
    copy.says("backup")
    found = {row["subject"]: row["found"] for row in copy.json("health")["judgments"]}
    assert "archived" not in found["backup"]
    copy.json("archive", "push", "features/es", str(bars), "--to", str(place))
    found = {row["subject"]: row["found"] for row in copy.json("health")["judgments"]}
    assert found["backup"].endswith("; last archived 0 hours ago")


@pytest.mark.campaign
def test_store_that_fails_is_told_and_the_next_try_completes_it(
    copy: Bot, cloud: Bucket, type_: Type, bars: Path
) -> None:
    words = ("archive", "push", "market_data/ES", str(bars), "--to", PLACE)
    cloud.cut_after = 1
    assert (copy.says(*words).code, len(cloud.objects)) == (5, 1)
    assert type_("archive", "list", "--from", PLACE, "--json").data["versions"] == []
    cloud.cut_after = None
    assert copy.json(*words)["sent"] == 1
    assert "there is no bucket another" in copy.says(*words[:-1], "s3://another/lake").err


@pytest.mark.campaign
def test_bytes_that_the_store_changed_on_the_way_are_not_trusted_later(
    copy: Bot, cloud: Bucket, bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("archive", "push", "market_data/ES", str(bars), "--to", PLACE)
    copy.says(*words)
    # What an upload left whose check failed: the right name, the right note and length, other bytes; no manifest.
    for key, (content, digest) in [*cloud.objects.items()]:
        if key.endswith(".json"):
            del cloud.objects[key]
        else:
            cloud.objects[key] = b"x" * len(content), digest
    refuses(copy.says(*words), 2, "differs from")
    assert not any(key.endswith(".json") for key in cloud.objects)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert copy.says(*words).code == 4


@pytest.mark.campaign
def test_chore_archives_after_the_session_and_a_failure_is_told(bot: Bot, type_: Type, tmp_path: Path) -> None:
    bot.says("reconcile")
    second_session(bot)
    place = tmp_path / "usb"
    verb = f"archive push backups/journal {bot.folder}/journal.jsonl --to {place}"
    configure(bot.folder, f'timetable: {{away: {{verb: "{verb}", when: close+1m, late: always}}}}')
    assert bot.says("schedule", "run", "away").code == 2
    (found,) = (row["found"] for row in bot.json("health")["judgments"] if row["subject"] == "chores")
    assert "; away at 2026-11-17 " in found
    assert "UTC: exit 2" in found
    place.mkdir()
    assert bot.says("schedule", "run", "away", "--again").code == 0
    (row,) = type_("archive", "list", "--from", str(place), "--json").data["versions"]
    assert row["name"] == "backups/journal"
