"""Code shared by all commands: options, output, console, hints, errors."""
