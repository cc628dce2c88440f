"""Interactive Brokers, through TWS or its Gateway: a socket on this machine, used with ib_async (the extra `ibkr`).

The bot makes blocking calls, and most of its commands are separate processes; ib_async never blocks. So each process
has one connection, opened at the first request, and a thread that runs the library's event loop (`link`). A request is
a coroutine that runs there, one at a time, while the bot's thread waits for it, with a limit. The thread reads all the
time, so a lost connection (1100, the daily restart) is known before the next order, and streaming prices never pile up.

Only ib_async's socket client and decoder are used, not its view of the account, which continues despite missed
messages. Every read queries the venue. Incoming messages are counted twice: as bytes, by a tap on the socket, and as
decoded by the library (`wrapper`). Messages that it dropped, or logged an error about, count as unreadable in the next
view, which closes entries until there is a view without any.

An order is promised before `orders` is called, under the send lock, and it doesn't wait: the connection is checked
first, and reads stay below the library's 45 messages a second, so that its queue is empty. If the connection is gone,
nothing was sent, and the reply says so. Once the message is written, only the venue's own messages prove a yes or a no.
The parent of a bracket has `transmit: no`, and its last child `transmit: yes`: without it, no order is active there.

An order has three ids. `orderId` belongs to a client id and is needed to change or cancel; `permId` is the venue's, and
our `venue_id`; `orderRef` has our mark, and nobody enforces its uniqueness. Open orders, completed orders and
executions together prove an order's state (`order_reports`).
"""
