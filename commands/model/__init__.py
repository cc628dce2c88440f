"""`tradebot model key`, `sign` and `check`: sign learned models, and check whether a bot can use them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose, group, verb
from commands.shared.verb_options import Json, Report, finish, on_bot

if TYPE_CHECKING:
    from tradebot.app.wiring import App

group("model", "Sign learned models, and check them.")
KeyFile = Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key to sign with.")]
To = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder of models to write it to.")]


@verb(
    "model key",
    VerbPurpose.DEVELOP,
    80,
    {"model-key/1": ("commands.model.run:ModelKey",)},
    elsewhere=True,
    epilog="tradebot model key ~/keys/models.pem",
)
def _key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the private key.")], as_json: Json = False
) -> None:
    """Create a key pair for signing models.

    The private key goes to FILE, which only you can read, and which is never replaced. Bots need the public key alone.
    """
    from commands.model.run import key

    finish(key(file), as_json)


@verb(
    "model sign",
    VerbPurpose.DEVELOP,
    90,
    {"model-sign/1": ("commands.model.run:ModelSigned",)},
    elsewhere=True,
    epilog="tradebot model sign draft --key ~/keys/models.pem --to models",
)
def _sign(
    draft: Annotated[
        Path, typer.Argument(metavar="DRAFT", help="A folder with model.onnx, card.json, scaling.json and probe.json.")
    ],
    key_file: KeyFile,
    to: To = Path("models"),
    as_json: Json = False,
) -> None:
    """Test a model, sign it, and name it by its content.

    Its answers to the stored observations must equal the stored answers. Its folder appears complete, or not at all.
    """
    from commands.model.run import sign

    finish(sign(draft, key_file, to), as_json)


@on_bot(
    "model check",
    VerbPurpose.DEVELOP,
    100,
    {"model-check/1": ("commands.model.run:ModelsChecked",)},
    epilog="tradebot model check\ntradebot model check --json",
)
def _check(bot: "App") -> Report:
    """Check the models of the policies in use.

    Each is read as a pass would read it, run once in its own process, and timed. Exits with code 10 if one can't be
    used.
    """
    from commands.model.run import check

    return check(bot)
