"""Values of each feature on a made-up frame, kept with its version: whoever changes values has to raise the version.

.venv/bin/python -m tests.signals.features.versions     # after you raised it
"""

import json
from pathlib import Path

import numpy as np

from tests.kit.signals.series import full
from tradebot.signals.features import columns, features

KEPT = Path(__file__).with_name("versions.json")
SEED, BARS = 11, 5


def values_now() -> dict[str, list[float | None]]:
    """Return the values of the last bars by feature; None where one is absent."""
    found = columns(full(SEED), [*features()])
    return {
        name: [None if np.isnan(value) else float(f"{value:.12g}") for value in column[-BARS:].tolist()]
        for name, column in found.items()
    }


def main() -> None:
    """Keep the values and versions of now."""
    versions = {name: one.version for name, one in features().items()}
    rows = [
        f"{json.dumps(name)}: {json.dumps([versions[name], *values])}" for name, values in sorted(values_now().items())
    ]
    KEPT.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
