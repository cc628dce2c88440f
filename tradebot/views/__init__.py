"""The values that commands, pages, notices and assistants all show. Everything here is pure."""
