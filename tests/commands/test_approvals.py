"""`tradebot approvals`, `approve` and `reject`: what waits is shown, and an answer does what it says, once."""

from tests.commands.chat.test_chat import listening, pair
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot, log, second_session
from tests.kit.fakes.receivers import chatting
from tradebot.model.serving import ChoreEnd

BOT_SETTINGS = "approval: {wait_s: 300}\n"


def waiting(bot: Bot) -> list[str]:
    return [row["id"] for row in bot.json("approvals")["approvals"] if row["state"] == "waiting"]


def submitted(bot: Bot) -> list[str]:
    return [event["symbol"] for event in log(bot.url) if event["event"] == "order_accepted"]


def later(bot: Bot, minutes: int) -> str:
    """Let time pass, run a pass of entries, and return what it says."""
    for words in (("exchange", "tick", f"{minutes}m"), ("fetch-flow",), ("reconcile",)):
        assert bot.says(*words).code == 0
    return bot.says("trade-once", "--force-slot").out


def test_nothing_is_sent_before_a_yes_nor_after_one_that_comes_too_late(bot: Bot) -> None:
    assert bot.says("approvals").out.startswith("0 entries wait for approval at ")
    assert bot.says("approve", "aapl-k3f7q").err.startswith("error: There is no request aapl-k3f7q.")
    second_session(bot)
    said = bot.says("trade-once")
    (late,) = waiting(bot)
    assert " = 0 sent + 1 waiting for approval + 3 refused\n" in said.out
    shown = bot.says("approvals").out
    assert shown.startswith("1 entry waits for approval at ")
    assert f"Next: tradebot approve {late}, or tradebot reject {late}" in shown
    assert "1 entry waits for your approval until " in bot.says("summary").out.partition("What it did")[0]
    assert bot.says("exchange", "tick", "6m").code == 0
    too_late = bot.says("approve", late)
    assert (too_late.code, too_late.err) == (
        2,
        f"error: {late} has expired: nobody answered in time.\n  next: tradebot approvals shows what is waiting.\n",
    )
    assert bot.says("reject", late).code == 2
    assert submitted(bot) == []
    assert "nobody answered by" in bot.says("approvals", "--last", "1").out


def test_a_yes_sends_the_order_once(bot: Bot) -> None:
    later(bot, 14)
    (name,) = waiting(bot)
    done = bot.says("approve", name)
    assert (done.code, done.out.startswith(f"Yes to {name}: buy "), "Sent as tb1." in done.out) == (0, True, True)
    assert len(submitted(bot)) == 1
    shows(bot.says("approve", name), 0, "Sent as tb1.")
    refuses(bot.says("reject", name), 2, "already said yes")
    later(bot, 1)
    assert len(submitted(bot)) == 1
    assert bot.json("approvals", "--last", "1")["approvals"][0]["state"] == "sent"


def test_after_a_no_nobody_is_asked_again(bot: Bot) -> None:
    later(bot, 60)
    name = waiting(bot)[0]
    sent = submitted(bot)
    assert bot.says("reject", name).out.endswith("Approval isn't requested again in this session.\n")
    assert bot.says("approve", name).code == 2
    assert "APPROVAL_REFUSED" in later(bot, 61)
    assert submitted(bot) == sent
    assert name not in waiting(bot)
    assert " said no at " in bot.says("approvals", "--last", "9").out
    assert "APPROVAL_REFUSED" in bot.says("why-no-orders", name.split("-")[0].upper()).out


def given(bot: Bot, symbol: str) -> str:
    """Give an entry in a file, and return the id of what waits for approval."""
    bot.does("exchange tick 6m", "reconcile")
    file = bot.folder.parent / "given.jsonl"
    file.write_text(f'{{"symbol": "{symbol}", "side": "buy", "score": 1, "coverage": 1}}\n')
    shows(bot.says("trade-once", "--candidates", str(file)), 0, "1 waiting for approval")
    file.unlink()
    (name,) = [name for name in waiting(bot) if name.startswith(symbol.lower())]
    return name


def test_only_the_paired_persons_yes_in_time_sends_an_entry_from_a_file_and_once(bot: Bot) -> None:
    def run(words: list[str], *_: object) -> ChoreEnd:
        said = bot.says(*words)
        return ChoreEnd(said.code, None, 0.1, said.out)

    with chatting() as fake, listening(bot, fake) as chat:
        chat.listener._run = run  # type: ignore[assignment]
        pair(chat)
        before, name = len(submitted(bot)), given(bot, "AMZN")
        (shown,) = chat.hears()
        assert shown.startswith("An entry waits for your approval:\nbuy ")
        yes = fake.button("Approve AMZN")["callback_query"]
        press = yes["data"], yes["message"]["message_id"]
        assert chat.hears(fake.typed(f"approve {name}", 7002), fake.pressed(*press, 7002)) == []
        assert waiting(bot) == [name]
        bot.says("halt")
        assert chat.hears(fake.pressed(*press))[0].startswith(f"Yes to {name}: NOT sent")
        assert len(submitted(bot)) == before
        shows(bot.says("unhalt", "--confirm", bot.tail()), 0, "")
        assert chat.types(f"approve {name}")[0].startswith(f"Yes to {name}: sent")
        chat.types(f"approve {name}")
        assert "not a button that can still be pressed" in chat.hears(fake.pressed(*press))[0]
        assert submitted(bot)[before:] == ["AMZN"]
        late = given(bot, "AAPL")
        chat.hears()
        bot.says("exchange", "tick", "6m")
        assert chat.presses("Approve AAPL")[0].startswith(f"{late} has expired")
        assert submitted(bot)[before:] == ["AMZN"]


def test_turning_approval_off_has_to_be_accepted(bot: Bot) -> None:
    settings = bot.folder / "tradebot.yaml"
    whole = settings.read_text()
    settings.write_text(whole.replace("approval: {wait_s: 300}", ""))
    assert "approval.wait_s was accepted as 300 and is null" in bot.says("config", "check").out
    bot.says("exchange", "tick", "5m")
    shows(bot.says("trade-once", "--force-slot"), 3, "CONFIG_LOOSENED")
    settings.write_text(whole)
