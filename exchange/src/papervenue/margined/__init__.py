"""Trade instruments on margin as a plain venue does: net positions, margin levels, funding, fees and liquidation."""
