"""Trade futures at Interactive Brokers, through a socket of TWS or IB Gateway, with ib_async (the extra `ibkr`).

The bot makes blocking calls and most of its commands are separate processes, while ib_async is asynchronous. So each
process has one connection, opened at the first request, and a thread that runs the library's event loop (`link`). Each
request is a coroutine in that loop, one at a time, while the calling thread waits with a timeout. The thread reads
continuously, so that a lost connection (error 1100, the daily restart) is noticed before the next order, and streaming
prices don't pile up.

Only ib_async's socket client and decoder are used. Its model of the account isn't, because it ignores missed messages.
Every read queries the venue. Incoming messages are counted twice: as bytes on the socket, and as decoded by the library
(`wrapper`). Messages that the library dropped or failed to decode count as unreadable in the next view; no entry is
sent until a view has no such messages.

An order is recorded before `orders` is called, under the send lock. The order never waits in the library's queue: the
connection is checked first, and reads stay below the limit of 45 messages a second. If the connection is gone, the
reply says that nothing was sent. Once the message is written, only the venue's own messages prove acceptance or
rejection. A bracket's parent has `transmit: no` and its last child `transmit: yes`; without the latter, none of its
orders works.

An order has three ids. `orderId` belongs to a client id and is needed to change or cancel the order. `permId` is the
venue's, and our `venue_id`. `orderRef` holds our client order id; the venue doesn't enforce that it is unique. Open
orders, completed orders and executions together prove an order's state (`order_reports`).
"""
