"""`tradebot chat`: one person asks from one chat how the bot is, halts it, and says yes or no to entries."""
