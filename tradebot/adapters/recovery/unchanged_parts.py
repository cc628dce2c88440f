"""Find the parts of backups that nothing has touched since they were made, without reading them."""

from contextlib import suppress
from pathlib import Path

from tradebot.adapters.recovery.backup_parts import PARTS, Hashed, is_as_of
from tradebot.adapters.recovery.backups import places, read_manifest, recipes
from tradebot.adapters.recovery.quarantine import MANIFEST
from tradebot.errors import OperatorError

WRITTEN_WITHIN_NS = 1_000_000_000
"""How much later than its entry in the folder a manifest may be written."""


def as_left(folder: Path) -> Hashed:
    """Return the parts that nothing has touched since the backups that need them were made, so that nobody reads them.

    The system sets the time of a file's last status change itself, so whatever was written to since then shows.
    """
    trusted, touched = Hashed(), set[Path]()
    for place in places(folder):
        with suppress(OperatorError, OSError):
            made_ns = (place / MANIFEST).lstat().st_ctime_ns
            manifest_touched = made_ns > place.stat().st_mtime_ns + WRITTEN_WITHIN_NS
            for recipe in recipes(read_manifest(place)).values():
                for part, digest in recipe.parts.items():
                    path = place.parent / PARTS / part
                    trusted[path] = digest
                    if manifest_touched or not is_as_of(path, made_ns):
                        touched.add(path)
    return {path: digest for path, digest in trusted.items() if path not in touched}
