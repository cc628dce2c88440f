"""Copies of backups in a bucket of S3, or of a service that speaks its protocol (AWS_ENDPOINT_URL_S3).

The keys come from where boto3 looks for them: the environment, its own files, or the machine; and from `.env`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import IO, Any

from tradebot.adapters.recovery.offsite_copy import Content, require_whole
from tradebot.adapters.recovery.quarantine import MANIFEST
from tradebot.adapters.state.safe_open import opened_plain
from tradebot.adapters.text.extras import install
from tradebot.adapters.text.redaction import learn
from tradebot.errors import ExitCode, OperatorError, TemporaryError, TradebotError

SCHEME = "s3://"
BLOCK = 1 << 20
TIMEOUT_S = 60
REGION = "us-east-1"
"""Any region does for a bucket elsewhere: S3 tells where it is."""
MISSING = ("404", "NoSuchKey", "NotFound")
WRONG_KEYS = (
    "401", "403", "AccessDenied", "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId",
    "InvalidToken", "SignatureDoesNotMatch",
)  # fmt: skip
KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment or in .env, of a key that may list and write"


class Bucket:
    """Copies under a prefix of a bucket. An object appears there as a whole or not at all."""

    def __init__(self, address: str, keys: Mapping[str, str]) -> None:
        bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
        self.where, self._bucket, self._prefix = address, bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        if not bucket:
            raise OperatorError(f"{address} names no bucket", "write s3://BUCKET/PREFIX")
        try:
            import boto3  # noqa: F401
        except ImportError as error:
            raise OperatorError("copies to S3 need the extra s3", install("s3")) from error
        with self._reached():
            self._client = _client(keys)

    def backups(self) -> list[str]:
        """Return the names of the backups that are whole there, newest first."""
        own = (name.split("/") for name in self.names(""))
        return sorted((parts[0] for parts in own if len(parts) == 2 and parts[1] == MANIFEST), reverse=True)

    def names(self, under: str) -> Mapping[str, datetime]:
        """Return what is there below a folder, and when each object was written."""
        prefix = self._prefix + under
        with self._reached():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            found = [one for page in pages for one in page.get("Contents", ())]
        return {str(one["Key"]).removeprefix(self._prefix): one["LastModified"] for one in found}

    def content(self, name: str) -> Content | None:
        """Return what is there by a name, as it was read back when it was written; None if nothing is."""
        from botocore.exceptions import ClientError

        with self._reached():
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise
            return Content(int(found["ContentLength"]), str(found["Metadata"].get("sha256", "")))

    def put(self, name: str, file: Path, content: Content) -> None:
        """Write an object, and read it back."""
        key = self._prefix + name
        with self._reached(), opened_plain(file) as body:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, Metadata={"sha256": content.sha256})
        require_whole(self.read_back(name), content, self.where, name)

    def read_back(self, name: str) -> Content | None:
        """Return what is there by a name, read byte by byte; None if nothing is."""
        from botocore.exceptions import ClientError

        size, digest = 0, hashlib.sha256()
        with self._reached():
            try:
                for block in self._read(name):
                    size += len(block)
                    digest.update(block)
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise
        return Content(size, digest.hexdigest())

    def get(self, name: str, file: Path) -> None:
        """Write what is there by a name to a file that doesn't exist yet."""
        with self._reached(), file.open("xb") as written:
            for block in self._read(name):
                written.write(block)

    def removal(self, name: str) -> str:
        """Return the command of the AWS CLI that deletes what is there by a name."""
        return f"aws s3 rm {quote(f'{SCHEME}{self._bucket}/{self._prefix}{name}')}"

    def _read(self, name: str) -> Iterator[bytes]:
        body: IO[bytes] = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
        while block := body.read(BLOCK):
            yield block

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Turn the errors of boto3 into ours, by their codes alone: a text may repeat what was sent."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        try:
            yield
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise OperatorError(f"{self.where} needs keys", KEYS, code=ExitCode.AUTHENTICATION) from error
        except ClientError as error:
            raise self._refused(_code(error)) from error
        except (BotoCoreError, ValueError) as error:
            found = f"{self.where} doesn't answer: {type(error).__name__}"
            raise TemporaryError(
                found, "see whether the machine is online, and AWS_ENDPOINT_URL_S3 if it is set"
            ) from error

    def _refused(self, code: str) -> TradebotError:
        if code in WRONG_KEYS:
            return OperatorError(f"{self.where} refuses the keys: {code}", KEYS, code=ExitCode.AUTHENTICATION)
        if code == "NoSuchBucket":
            return OperatorError(f"there is no bucket {self._bucket}", "make it, or correct its name")
        if code in MISSING:
            return OperatorError(f"a file of the backup is missing in {self.where}", "restore another backup")
        return TemporaryError(f"{self.where} refused the request: {code}", "try again later; nothing was lost")


def _client(keys: Mapping[str, str]) -> Any:
    """Return a client of S3 that no text will show the keys of."""
    import boto3
    from botocore.config import Config

    session = boto3.Session(
        aws_access_key_id=keys.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=keys.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=keys.get("AWS_SESSION_TOKEN"),
        region_name=keys.get("AWS_REGION") or keys.get("AWS_DEFAULT_REGION"),
    )
    found = session.get_credentials()
    if found is not None:
        learn(found.access_key, found.secret_key, found.token)
    # What is written is read back; not every service knows the checksums that boto3 would add.
    checks = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    limits = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, **checks)
    endpoint = keys.get("AWS_ENDPOINT_URL_S3") or keys.get("AWS_ENDPOINT_URL")
    return session.client("s3", region_name=session.region_name or REGION, endpoint_url=endpoint, config=limits)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
