"""`tradebot mcp`: an assistant asks how the bot is, and halts it, over the Model Context Protocol."""
