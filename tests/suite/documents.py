"""Follow a document again only if it, or a verb that it names, has changed since it was last followed to its end.

Following all of them takes minutes, and few changes touch what they show. tests/followed.txt has the digest of each
document and of its verbs; a green run with `--record` writes it.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "tests" / "followed.txt"
HEAD = "# What each document named when it was last followed: make campaigns ARGS=--record\n"
PROPERTY = "followed"
_VERB = re.compile(r"\btradebot ([a-z]+(?:-[a-z]+)*)")


@cache
def digest(document: str) -> str:
    """Return the digest of a document, or of a folder's pages, and of the code of the verbs that it names."""
    path = ROOT / document
    text = b"".join(page.read_bytes() for page in (sorted(path.glob("*.md")) if path.is_dir() else [path]))
    names = sorted({verb.replace("-", "_") for verb in _VERB.findall(text.decode())})
    files = [file for name in names for file in _files_of(name)]
    return hashlib.sha256(b"".join([text, *(file.read_bytes() for file in files)])).hexdigest()[:16]


def _files_of(verb: str) -> Iterator[Path]:
    """Yield the files of a verb: one, or all of its folder."""
    file, folder = ROOT / "commands" / f"{verb}.py", ROOT / "commands" / verb
    yield from sorted(folder.rglob("*.py")) if folder.is_dir() else [file] if file.is_file() else []


def followed() -> Mapping[str, str]:
    """Return the digest of each document when it was last followed."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    return {name: value for value, name in (line.split() for line in lines if not line.startswith("#"))}


def of_test(item: pytest.Item) -> str | None:
    """Return the document that a campaign follows."""
    mark = item.get_closest_marker("campaign")
    return mark.kwargs.get("follows") if mark else None


def is_unchanged(item: pytest.Item) -> bool:
    """Return whether a test would follow a document of which nothing has changed."""
    document = of_test(item)
    return document is not None and followed().get(document) == digest(document)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell in the report of a test which document it follows."""
    document = of_test(item)
    if document is not None:
        item.user_properties.append((PROPERTY, document))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Record which documents were followed to their end."""
    if not (config.option.record and config.option.campaigns):
        return
    stats = terminalreporter.stats
    done, failed = (_documents(stats.get(kind, ())) for kind in ("passed", "failed"))
    digests = {**followed(), **{document: digest(document) for document in done - failed}}
    FILE.write_text(HEAD + "".join(f"{digests[name]} {name}\n" for name in sorted(digests)))


def _documents(reports: Iterable[pytest.TestReport]) -> set[str]:
    """Return the documents that tests with these reports follow."""
    return {str(value) for report in reports for name, value in report.user_properties if name == PROPERTY}
