"""What every command shares: options, output, console, hints, errors."""
