"""A document's version and its form change together: the file beside this test keeps both, one line a version."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commands.shared.plain import VERSIONS
from commands.shared.schema import DATA, schema_of

KEPT = Path(__file__).with_name("versions.txt")
ADVICE = """The fields of these documents changed. If one was renamed or removed, raise the document's version in
commands/shared/plain.py and add the line below to tests/commands/shared/versions.txt; if fields were only added,
replace the document's last line."""


def fields(schema: Any, known: dict[str, Any], path: str = "", within: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the path of every field that a document must have; a type that contains itself is followed once."""
    if isinstance(schema, list):
        for each in schema:
            yield from fields(each, known, path, within)
    elif isinstance(schema, dict):
        name = schema.get("$ref", "").rpartition("/")[2]
        if name and name not in within:
            yield from fields(known[name], known, path, within | {name})
        for required in schema.get("required", ()):
            yield f"{path}.{required}"
            yield from fields(schema["properties"][required], known, f"{path}.{required}", within)
        for parts in ("anyOf", "prefixItems", "items", "additionalProperties"):
            yield from fields(schema.get(parts), known, path, within)


def form(name: str) -> str:
    """Return a document's name, version, and the fingerprint of its fields."""
    schema = schema_of(name)
    document = next(each for each in schema["anyOf"] if "verb" in each["required"])
    found = "\n".join(sorted(set(fields(document, schema["$defs"]))))
    version = document["properties"]["schema"]["const"].rpartition("/")[2]
    return f"{name} {version} {hashlib.sha256(found.encode()).hexdigest()[:12]}"


def test_document_fields_change_only_with_the_version() -> None:
    kept = {line.split()[0]: line for line in KEPT.read_text().splitlines()}
    changed = [line for line in map(form, DATA) if kept.get(line.split()[0]) != line]
    assert not changed, "\n".join([ADVICE, *changed])
    assert kept.keys() == DATA.keys()


def test_every_version_of_a_document_has_fields_of_its_own() -> None:
    lines = [tuple(line.split()) for line in KEPT.read_text().splitlines()]
    versions = {name: [int(version) for other, version, _ in lines if other == name] for name, _, _ in lines}
    assert versions == {name: list(range(1, VERSIONS.get(name, 1) + 1)) for name in DATA}
    assert len({(name, fields) for name, _, fields in lines}) == len(lines), "a version was raised for nothing"
