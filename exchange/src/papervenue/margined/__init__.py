"""Trade instruments on margin in the `plain` dialect: net positions, margin levels, funding, fees and liquidation."""
