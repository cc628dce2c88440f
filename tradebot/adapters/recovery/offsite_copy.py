"""Copy a backup off this machine, and back to an empty one.

A copy has the layout of the backups' folder. Parts never change and are sent once. Each backup's manifest is sent last,
so an interrupted copy isn't a backup yet, and the next attempt sends only the missing files. Nothing in a store is ever
replaced or deleted.

A copy may be in an S3 bucket, or at a service with the same protocol (AWS_ENDPOINT_URL_S3). boto3 finds the keys in the
environment, its own files, or the machine's role; we add the keys in `.env`.
"""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import IO, Any, NamedTuple, Protocol

from tradebot.adapters.failpoint import around
from tradebot.adapters.recovery import backups
from tradebot.adapters.recovery.backup_parts import PARTS
from tradebot.adapters.recovery.quarantine import MANIFEST
from tradebot.adapters.state.safe_open import opened_plain, written_plain
from tradebot.adapters.state.state_folder import StateFolder, cannot_write, make_folder, sync_folder
from tradebot.adapters.text.extras import install
from tradebot.adapters.text.redaction import learn
from tradebot.errors import ExitCode, OperatorError, TemporaryError, TradebotError

DRAFT = ".new-"

LEFT_AFTER_S = 86_400

"""How long a draft must be unchanged to count as left by an interrupted copy."""

FULL, KEPT_OUT = (errno.ENOSPC, errno.EDQUOT), (errno.EACCES, errno.EPERM, errno.EROFS)


class FileDigest(NamedTuple):
    """The size of a file in bytes, and its SHA-256."""

    bytes: int
    sha256: str


class OffsiteStore(Protocol):
    """A store of backup copies, in which each file has a name such as `parts/NAME`; methods raise TradebotError."""

    where: str

    def backups(self) -> list[str]:
        """Return the names of the complete backups, newest first."""
        ...

    def content(self, name: str) -> FileDigest | None:
        """Return the size and digest of a file by name; None if it doesn't exist."""
        ...

    def names(self, under: str) -> Mapping[str, datetime]:
        """Return the files below a folder, such as `parts/`, and when each was written."""
        ...

    def read_back(self, name: str) -> FileDigest | None:
        """Return the size and digest of a file by name, reading all bytes; None if it doesn't exist."""
        ...

    def put(self, name: str, file: Path, content: FileDigest) -> None:
        """Write a new file, and read it back before renaming it to its name."""
        ...

    def get(self, name: str, file: Path) -> None:
        """Download a file by name to a local file that doesn't exist yet."""
        ...

    def removal(self, name: str) -> str:
        """Return the command by which the operator deletes a file by name."""
        ...


def send(backup: Path, offsite: OffsiteStore) -> None:
    """Copy a verified backup to a store, and verify it there.

    Raise OperatorError, without changing anything, if the store has different content under the same name.
    """
    for name, file in _files(backup, backups.read_manifest(backup)).items():
        own, there = hash_file(file), offsite.content(name)
        if there == own:
            continue
        if there is not None:
            raise OperatorError(
                f"{offsite.where} has a different {name}: it belongs to another bot, or was changed there",
                "name a folder or a prefix for this bot alone; nothing was changed there",
            )
        offsite.put(name, file, own)


def select_backup(offsite_store: OffsiteStore, name: str | None) -> str:
    """Return the name of a backup in a store, by default the newest; raise OperatorError if it has none."""
    names = offsite_store.backups()
    if not names or (name is not None and name not in names):
        problem = f"{offsite_store.where} has no backup" + (f" {name}" if name else "")
        hint = f"it has {', '.join(names[:3])}" if names else "name the folder or prefix that you gave to backup --to"
        raise OperatorError(problem, hint)
    return name or names[0]


def fetch(root: Path, offsite: OffsiteStore, name: str, owner: StateFolder | None) -> None:
    """Copy a backup from a store to the folder `root`, which has the local backups.

    Files that exist locally aren't copied again unless they are damaged. Without an `owner`, any bot's backup is
    accepted. Raise OperatorError if the stored backup is damaged, or belongs to another bot.
    """
    with backups.alone(root):
        try:
            _fetch(root, offsite, name, owner)
        except OSError as error:
            raise cannot_write(root, error) from error


def _fetch(root: Path, offsite_store: OffsiteStore, name: str, owner: StateFolder | None) -> None:
    with backups.scratch(root) as path:
        draft = path / name
        draft.mkdir()
        offsite_store.get(f"{name}/{MANIFEST}", draft / MANIFEST)
        content = _content(draft, offsite_store, owner)
        is_here = (root / name).exists()
        if is_here:
            _require_same(root / name, draft / MANIFEST)
        if not (root / PARTS).is_dir():
            make_folder(root / PARTS)
        digests = {
            part: digest for recipe in backups.recipes(content).values() for part, digest in recipe.parts.items()
        }
        for of, file in _files(draft, content, root / PARTS).items():
            digest, is_part = digests.get(file.name), file.parent == root / PARTS
            if _is_whole(file, digest) if is_part else is_here or file.exists():
                continue
            offsite_store.get(of, path / "file")
            if file.exists() and not _is_whole(path / "file", digest):
                # Damaged in both places: the local copy stays.
                with around("offsite_copy.drop"):
                    (path / "file").unlink()
                continue
            with around("offsite_copy.fetch"):
                (path / "file").rename(file)
        if not is_here:
            with around("offsite_copy.name"):
                draft.rename(root / name)
        sync_folder(root)


def _content(draft: Path, offsite: OffsiteStore, owner: StateFolder | None) -> Mapping[str, Any]:
    """Parse a downloaded manifest; raise OperatorError if it is damaged, or another bot's."""
    another = "name another backup, or another copy"
    try:
        content = backups.read_manifest(draft)
    except OperatorError as error:
        raise OperatorError(f"{draft.name} in {offsite.where} is damaged, or of another version", another) from error
    if owner is not None and (content.get("state"), content.get("account")) != (owner.id, owner.account_number):
        raise OperatorError(
            f"{draft.name} in {offsite.where} is a backup of another bot's books",
            "name the folder or prefix of this bot's backups, or a new folder for the other bot: --state-dir FOLDER",
        )
    return content


def _is_whole(part: Path, digest: str | None) -> bool:
    """Return True if a local part is as it was stored."""
    try:
        return hash_file(part).sha256 == digest
    except OSError:
        return False


def _require_same(here: Path, manifest: Path) -> None:
    if (here / MANIFEST).read_bytes() != manifest.read_bytes():
        raise OperatorError(f"{here} is another backup of the same name", f"move it away: mv {here} {here}.aside")


def _files(backup: Path, content: Mapping[str, Any], parts: Path | None = None) -> dict[str, Path]:
    """Return a backup's files by their names in a copy, the manifest last.

    Raise OperatorError if a name leads outside, because a downloaded manifest may contain anything.
    """
    stored = [part for recipe in backups.recipes(content).values() for part in recipe.parts]
    own = [*content["files"]]
    for name in (*stored, *own):
        if name != os.path.basename(name) or name.startswith("."):
            raise OperatorError(f"the manifest of {backup.name} names a file outside the backup", "use another backup")
    root = parts or backup.parent / PARTS
    return {f"{PARTS}/{part}": root / part for part in stored} | {
        f"{backup.name}/{name}": backup / name for name in (*own, MANIFEST)
    }


def hash_file(file: Path) -> FileDigest:
    """Return a file's size and digest."""
    with opened_plain(file) as read:
        return FileDigest(os.fstat(read.fileno()).st_size, hashlib.file_digest(read, "sha256").hexdigest())


class Folder:
    """Copies of backups in a folder, such as on another disk or machine.

    The folder must exist already: if its disk isn't mounted, nothing may be written in its place.
    """

    def __init__(self, root: Path) -> None:
        self.where, self._root = str(root), root
        self._swept: set[Path] = set()
        other = next((path for path in (root, *root.parents) if os.path.lexists(path) and not path.is_dir()), None)
        if other is not None:
            raise OperatorError(f"{other} is {'a file, not a' if other.is_file() else 'no'} folder", "name a folder")
        if not root.is_dir():
            raise OperatorError(f"there is no folder {root}", f"connect or mount its disk, or create it: mkdir {root}")

    def backups(self) -> list[str]:
        """Return the names of the complete backups, newest first."""
        return sorted((path.parent.name for path in self._root.glob(f"*/{MANIFEST}")), reverse=True)

    def content(self, name: str) -> FileDigest | None:
        """Return the size and digest of a file by name; None if it doesn't exist."""
        try:
            return hash_file(self._root / name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refusal_error("read", error) from error

    def names(self, under: str) -> Mapping[str, datetime]:
        """Return the files below a folder, and when each was written."""
        try:
            paths = [path for path in (self._root / under).rglob("*") if path.is_file() and path.name[0] != "."]
            times = {str(path.relative_to(self._root)): path.stat().st_mtime for path in paths}
        except OSError as error:
            raise self._refusal_error("read", error) from error
        return {name: datetime.fromtimestamp(at, UTC) for name, at in times.items()}

    def read_back(self, name: str) -> FileDigest | None:
        """Return a file's size and digest; its content is always read."""
        return self.content(name)

    def put(self, name: str, file: Path, content: FileDigest) -> None:
        """Write a file under a temporary name, read it back, and rename it.

        The temporary name is unique to the call, because others may write the same file at the same time.
        """
        target = self._root / name
        draft = target.with_name(f"{DRAFT}{target.name}.{os.urandom(8).hex()}")
        try:
            for folder in reversed([*target.parents][: len(Path(name).parents) - 1]):
                folder.mkdir(mode=0o700, exist_ok=True)
            self._sweep(target.parent)
            self._write(file, draft)
            require_whole(hash_file(draft), content, self.where, name)
            with around("offsite_copy.put"):
                draft.rename(target)
            sync_folder(target.parent)
        except OSError as error:
            raise self._refusal_error("written", error) from error
        finally:
            # The original error says more than one about the draft.
            with suppress(OSError), around("offsite_copy.drop_draft"):
                draft.unlink(missing_ok=True)

    def get(self, name: str, file: Path) -> None:
        """Copy a file by name to a local file that doesn't exist yet."""
        try:
            content = (self._root / name).open("rb")
        except OSError as error:
            raise self._refusal_error("read", error) from error
        with content, file.open("xb") as written:
            shutil.copyfileobj(content, written)

    def removal(self, name: str) -> str:
        """Return the command that deletes a file by name."""
        return f"rm {quote(str(self._root / name))}"

    def _sweep(self, folder: Path) -> None:
        """Delete drafts that interrupted copies left directly in a folder."""
        if folder in self._swept:
            return
        self._swept.add(folder)
        for draft in folder.glob(f"{DRAFT}*"):
            # Another copy may have renamed or deleted it; one that can't be deleted does no harm.
            with suppress(OSError):
                if time.time() - draft.lstat().st_mtime > LEFT_AFTER_S:
                    with around("offsite_copy.sweep"):
                        draft.unlink()

    def _write(self, file: Path, draft: Path) -> None:
        with opened_plain(file) as read, written_plain(draft) as written:
            shutil.copyfileobj(read, written)
            written.flush()
            with around("offsite_copy.sync"):
                os.fsync(written.fileno())

    def _refusal_error(self, what: str, error: OSError) -> OperatorError:
        problem = f"{self.where} can't be {what}: {error.strerror or error}"
        if error.errno in FULL:
            return OperatorError(problem, f"free up space there: df -h {self.where}")
        if error.errno in KEPT_OUT:
            return OperatorError(problem, f"make it writable for this user; to see whose it is: ls -ld {self.where}")
        return OperatorError(problem, f"check that its disk is connected: ls -ld {self.where}")


def require_whole(stored: FileDigest | None, content: FileDigest, where: str, name: str) -> None:
    """Raise TradebotError if the content read back differs from the content sent."""
    stored = stored or FileDigest(0, "")
    if stored != content:
        raise TradebotError(
            f"{name} arrived damaged in {where}: it has {stored.bytes:,} of {content.bytes:,} bytes, or"
            " different content",
            "run it again; if it happens again, check that disk",
            code=ExitCode.UNAVAILABLE,
        )


SCHEME = "s3://"

BLOCK = 1 << 20

TIMEOUT_S = 60

REGION = "us-east-1"

"""Any region works for finding a bucket: S3 returns the right one."""

MISSING = ("404", "NoSuchKey", "NotFound")

WRONG_KEYS = (
    "401", "403", "AccessDenied", "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId",
    "InvalidToken", "SignatureDoesNotMatch",
)  # fmt: skip

KEYS = "in the environment or in .env, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that may list and write"


class Bucket:
    """Copies of backups under a prefix of a bucket. Objects are written atomically."""

    def __init__(self, address: str, keys: Mapping[str, str]) -> None:
        bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
        self.where, self._bucket, self._prefix = address, bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        if not bucket:
            raise OperatorError(f"{address} names no bucket", "write s3://BUCKET/PREFIX")
        try:
            import boto3  # noqa: F401
        except ImportError as error:
            raise OperatorError("copies to S3 need the extra s3", install("s3")) from error
        with self._translate_errors():
            self._client = _client(keys)

    def backups(self) -> list[str]:
        """Return the names of the complete backups, newest first."""
        own = (name.split("/") for name in self.names(""))
        return sorted((parts[0] for parts in own if len(parts) == 2 and parts[1] == MANIFEST), reverse=True)

    def names(self, under: str) -> Mapping[str, datetime]:
        """Return the objects below a folder, and when each was written."""
        prefix = self._prefix + under
        with self._translate_errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            listed_keys = [entry for page in pages for entry in page.get("Contents", ())]
        return {str(entry["Key"]).removeprefix(self._prefix): entry["LastModified"] for entry in listed_keys}

    def content(self, name: str) -> FileDigest | None:
        """Return an object's size and digest, as read back when it was written; None if it doesn't exist."""
        from botocore.exceptions import ClientError

        with self._translate_errors():
            try:
                head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise
            return FileDigest(int(head["ContentLength"]), str(head["Metadata"].get("sha256", "")))

    def put(self, name: str, file: Path, content: FileDigest) -> None:
        """Write an object, and read it back."""
        key = self._prefix + name
        with self._translate_errors(), opened_plain(file) as body:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, Metadata={"sha256": content.sha256})
        require_whole(self.read_back(name), content, self.where, name)

    def read_back(self, name: str) -> FileDigest | None:
        """Return an object's size and digest, reading all bytes; None if it doesn't exist."""
        from botocore.exceptions import ClientError

        size, digest = 0, hashlib.sha256()
        with self._translate_errors():
            try:
                for block in self._read(name):
                    size += len(block)
                    digest.update(block)
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise
        return FileDigest(size, digest.hexdigest())

    def get(self, name: str, file: Path) -> None:
        """Download an object by name to a local file that doesn't exist yet."""
        with self._translate_errors(), file.open("xb") as written:
            for block in self._read(name):
                written.write(block)

    def removal(self, name: str) -> str:
        """Return the AWS CLI command that deletes an object by name."""
        return f"aws s3 rm {quote(f'{SCHEME}{self._bucket}/{self._prefix}{name}')}"

    def _read(self, name: str) -> Iterator[bytes]:
        body: IO[bytes] = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
        while block := body.read(BLOCK):
            yield block

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Translate boto3's errors by their codes alone, because their texts may repeat what was sent."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        try:
            yield
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise OperatorError(f"{self.where} needs keys", KEYS, code=ExitCode.AUTHENTICATION) from error
        except ClientError as error:
            raise self._refusal_error(_code(error)) from error
        except (BotoCoreError, ValueError) as error:
            problem = f"{self.where} doesn't answer: {type(error).__name__}"
            raise TemporaryError(
                problem, "check that the machine is online, and AWS_ENDPOINT_URL_S3 if it is set"
            ) from error

    def _refusal_error(self, code: str) -> TradebotError:
        if code in WRONG_KEYS:
            return OperatorError(f"{self.where} refuses the keys: {code}", KEYS, code=ExitCode.AUTHENTICATION)
        if code == "NoSuchBucket":
            return OperatorError(f"there is no bucket {self._bucket}", "create it, or correct its name")
        if code in MISSING:
            return OperatorError(f"a file of the backup is missing from {self.where}", "restore another backup")
        return TemporaryError(f"{self.where} refused the request: {code}", "try again later; nothing was lost")


def _client(keys: Mapping[str, str]) -> Any:
    """Create an S3 client; its keys appear in no text."""
    import boto3
    from botocore.config import Config

    session = boto3.Session(
        aws_access_key_id=keys.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=keys.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=keys.get("AWS_SESSION_TOKEN"),
        region_name=keys.get("AWS_REGION") or keys.get("AWS_DEFAULT_REGION"),
    )
    credentials = session.get_credentials()
    if credentials is not None:
        learn(credentials.access_key, credentials.secret_key, credentials.token)
    # Writes are verified by reading back; not every service supports boto3's checksums.
    checks = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    limits = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, **checks)
    endpoint = keys.get("AWS_ENDPOINT_URL_S3") or keys.get("AWS_ENDPOINT_URL")
    return session.client("s3", region_name=session.region_name or REGION, endpoint_url=endpoint, config=limits)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
