"""Writes commands/verbs.json from what the verbs declare at their functions.

Run it from the repository's root: python -m tests.docs
"""

import json
import re
from collections.abc import Mapping
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Any

from commands.shared import listed_verbs
from commands.shared.declaration import DECLARED, GROUPS, DeclaredVerb, VerbPurpose

DECLARES = re.compile(r"^(?:@verb|@on_bot|group)\(", re.MULTILINE)
PAGE = listed_verbs.PLACE
PURPOSES = list(VerbPurpose)


def page() -> str:
    """Return the list, one verb to a line."""
    for path in sorted(PAGE.parent.rglob("*.py")):
        if DECLARES.search(path.read_text(encoding="utf-8")):
            import_module(_module(path))
    ordered = sorted(DECLARED.items(), key=lambda each: (PURPOSES.index(each[1].purpose), each[1].place, each[0]))
    verbs = {name: _fields(declared) for name, declared in ordered}
    return f'{{"groups": {_lines(dict(sorted(GROUPS.items())))}, "verbs": {_lines(verbs)}}}\n'


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PAGE.parents[1]).with_suffix("").parts).removesuffix(".__init__")


def _lines(rows: Mapping[str, object]) -> str:
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()) + "\n}"


def _fields(declared: DeclaredVerb) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "module": declared.act.__module__,
        "purpose": declared.purpose.value,
        "help": " ".join(cleandoc(declared.act.__doc__ or "").split()).partition(". ")[0].removesuffix(".") + ".",
        "prints": {name: [_place(kind) for kind in kinds] for name, kinds in declared.prints.items()},
    }
    fields |= {"elsewhere": True} if declared.elsewhere else {}
    return fields | ({"in_group": declared.in_group} if declared.in_group else {})


def _place(kind: type | str) -> str:
    return kind if isinstance(kind, str) else f"{kind.__module__}:{kind.__qualname__}"
