"""Reasons of learned policies: why a model isn't used, or can't answer. `reasons` makes the one enum of them."""

from tradebot.model.reason_codes import Unit, blocked, broken, idle, unknown

CHECK = "tradebot model check shows what is wrong with it. "
"""How remedies begin that `model check` itself has no need to show."""
_AGAIN = f"{CHECK}Copy the model again from where it was signed."


class PolicyReasons:
    MODEL_TRAINING = idle(
        "The policy is set to training. That never happens inside the bot, so the policy trades nothing.",
        "Set strategies.NAME.mode to inference, ensemble or meta, then run tradebot config accept.",
    )
    MODEL_ABSENT = broken(
        "The model isn't in the folder of models.",
        f"{CHECK}Copy it there, or compare strategies.NAME.folder and strategies.NAME.models with where it is.",
    )
    MODEL_UNSIGNED = broken(
        "Nobody has signed the model.",
        "If you know where it comes from, sign it where the private key is: tradebot model sign DRAFT --key FILE",
    )
    MODEL_WRONG_KEY = blocked(
        "The model was signed with another key than the one that the configuration names.",
        f"{CHECK}Find out who signed it. If that was you, set strategies.NAME.public_key to the key that did.",
    )
    MODEL_CHANGED = broken("A file of the model isn't what was signed.", _AGAIN)
    MODEL_TRUNCATED = broken("A file of the model is shorter than what was signed.", _AGAIN)
    MODEL_FILES_DIFFER = broken("The model lacks a file, or has one that doesn't belong to it.", _AGAIN)
    MODEL_PATH_UNSAFE = blocked(
        "The model, or one of its files, is a link, or its name leads out of the folder of models.",
        f"{CHECK}Put the folder itself there.",
    )
    MODEL_TOO_LARGE = blocked(
        "A file of the model is larger than any that is loaded.",
        f"{CHECK}Train a smaller network; 16 MB are many times what 60 inputs take.",
    )
    MODEL_UNREADABLE = broken(
        "The card, the scaling or the stored answers of the model can't be read, or contradict each other.",
        f"{CHECK}Export and sign the model again with this version of tradebot.",
    )
    MODEL_GRAPH_REFUSED = blocked(
        "The network refers to data in other files, or uses operators that only some programs have.",
        f"{CHECK}Export it as one file, with ONNX's own operators alone.",
    )
    MODEL_FEATURES_DIFFER = broken(
        "The model was trained on features that this version of tradebot doesn't have, or computes otherwise.",
        f"{CHECK}Use the version that it was trained with, or train it again.",
    )
    MODEL_SHAPE_WRONG = broken(
        "The network's inputs or outputs don't have the shape that its card promises.",
        f"{CHECK}Export and sign the model again.",
    )
    MODEL_ANSWERS_DIFFER = broken(
        "On this machine, the model answers its stored observations otherwise than where it was made.",
        f"{CHECK}Install the versions of deploy/core.lock again, or export the model here.",
    )
    MODEL_NOT_FINITE = broken(
        "The model answered with something that isn't a finite number within its range.",
        f"{CHECK}Train it again.",
    )
    MODEL_FAILED = broken(
        "The process of the model ended, or the network can't be run.",
        f"{CHECK}See tradebot events too.",
    )
    MODEL_SLOW = broken(
        "The model didn't answer in time, and its process was ended. The next pass starts a new one.",
        f"{CHECK}Compare the times there with strategies.NAME.answer_ms, which says how long an answer may take.",
        Unit.MILLISECONDS,
    )
    MODEL_INPUT_UNKNOWN = unknown(
        "The model needs to know the position, the equity or the session, and one of them isn't known.",
        "Nothing to do: the next pass looks again. tradebot reconcile compares the books with the broker.",
    )
    MODEL_STATE_LOST = unknown(
        "The model remembers the session since its open, and a bar is missing from what it remembers: it was started "
        "in the middle of the session, or a pass was missed.",
        "Nothing to do: it begins anew with the next session. Keep tradebot serve running.",
    )
    MODEL_UNRANKED = unknown(
        "There are no results from before this session by which to weigh the models, or to choose one.",
        "Use models whose cards have results, or name a file of results in strategies.NAME.results.",
        Unit.DAYS,
    )
    MODEL_REPLACED = broken(
        "The model failed its own test on this machine, so the last one that passed it acts in its place.",
        f"{CHECK}Repair or replace the model.",
    )
