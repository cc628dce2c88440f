"""Interactive Brokers, through TWS or its Gateway: a socket on this machine, spoken by ib_async (the extra `ibkr`).

The bot asks and waits, and most of its verbs are processes of their own; ib_async never waits. So each process has one
connection, made when it first asks, and a thread that runs the library's event loop (`link`). A question is a coroutine
that runs there, one at a time, while the bot's thread waits for it, with a limit. The thread reads all the time, so a
lost connection (1100, the daily restart) is known before the next order, and prices that stream never pile up.

Of ib_async, the socket client and the decoder are used, and not its picture of the account, which goes on from what it
missed. Every read asks the venue. What comes is counted twice: as bytes, by a tap on the socket (`tap`), and as what
the library decoded (`ears`). What it dropped, or logged an error about, counts as unreadable in the next view, which
closes entries until one comes without.

An order is promised before `orders` is called, under the send lock, and it doesn't wait: the connection is checked
first, and reads keep below the library's 45 messages a second, so that its queue is empty. If the connection is gone,
nothing was sent, and the reply says so. Once the message is written, only the venue's own words prove a yes or a no.
The parent of a bracket says `transmit: no`, and its last child `yes`: without that last message, nothing works there.

An order has three ids. `orderId` belongs to a client id and is needed to change or cancel; `permId` is the venue's,
and our `venue_id`; `orderRef` has our mark, and nobody keeps it unique. What became of an order, open orders, completed
orders and executions prove together (`told`).
"""
