"""Store reconcile plans as files: one run proposes a plan, and a person accepts it in another."""

import json
from pathlib import Path

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.state_folder import StateFolder, cannot_write, write_durably
from tradebot.adapters.text.canonical import CodecError
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import OperatorError
from tradebot.model.finding import AdjustmentPlan

SCHEMA = "tradebot.plan/2"
NEXT_STEP = "tradebot reconcile   (proposes a plan and names it)"
MAX_CHARACTERS = 1 << 20


def write(folder: StateFolder, plan: AdjustmentPlan, kept: int) -> Path:
    """Write a plan durably, keep only the newest ones, and return its path; OperatorError if the disk refuses."""
    content = {"schema": SCHEMA, "account": folder.account_number, "plan": encode(plan)}
    path = folder.plans / f"{plan.id}.json"
    try:
        folder.plans.mkdir(mode=0o700, exist_ok=True)
        write_durably(path, json.dumps(content, indent=2) + "\n")
        _forget_old(folder.plans, kept)
    except OSError as error:
        raise cannot_write(folder.plans, error) from error
    return path


def _forget_old(folder: Path, kept: int) -> None:
    found = sorted(folder.glob("plan-*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in found[kept:]:
        with around("plans.forget_old"):
            old.unlink(missing_ok=True)


def read(folder: StateFolder, name: str) -> AdjustmentPlan:
    """Return a plan by its id or file; OperatorError if it is missing, damaged, or for another account."""
    path = Path(name) if "/" in name or name.endswith(".json") else folder.plans / f"{name}.json"
    content = _content(path)
    if content.get("account") != folder.account_number:
        raise OperatorError(f"{path} was made for an account other than …{folder.tail}", NEXT_STEP)
    try:
        return decode(AdjustmentPlan, content.get("plan"))
    except CodecError as error:
        raise OperatorError(f"{path} is damaged: {error}", NEXT_STEP) from error


def _content(path: Path) -> dict[str, object]:
    try:
        with path.open(encoding="utf-8") as file:
            content = json.loads(file.read(MAX_CHARACTERS))
    except FileNotFoundError as error:
        raise OperatorError(f"there is no plan {path}", NEXT_STEP) from error
    except OSError as error:
        raise OperatorError(f"{path} can't be read: {error.strerror}", NEXT_STEP) from error
    except ValueError as error:
        raise OperatorError(f"{path} can't be read as a plan: it is not JSON", NEXT_STEP) from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise OperatorError(f"{path} is not a plan of this version", NEXT_STEP)
    return content
