"""Count raw socket messages by type, because ib_async logs and drops what it can't parse."""

import logging
import struct
from collections import Counter

LONGEST = 16 * 1024 * 1024
"""No message is as long; a length above this is the beginning of something else."""
_LENGTH = struct.Struct(">I")
LIBRARY = "ib_async"
DECODER = "ib_async.Decoder"


class Tap:
    """Counts whole messages by their number. `too_long` is True once a length can't be one."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.too_long = False
        self._unread, self.greeted = bytearray(), False

    @property
    def cut(self) -> bool:
        """Return True if the beginning of a message has come without its end."""
        return bool(self._unread)

    def feed(self, data: bytes) -> None:
        """Count what has become whole; the first message is the greeting, which has no number."""
        self._unread += data
        while len(self._unread) >= _LENGTH.size and not self.too_long:
            (length,) = _LENGTH.unpack_from(self._unread)
            self.too_long = length > LONGEST
            end = _LENGTH.size + length
            if self.too_long or len(self._unread) < end:
                return
            number = bytes(self._unread[_LENGTH.size : min(end, _LENGTH.size + 8)]).partition(b"\0")[0]
            del self._unread[:end]
            if self.greeted:
                self.counts[number.decode(errors="replace")] += 1
            self.greeted = True


class LibraryErrors(logging.Handler):
    """Collects the errors that the library logs, and keeps them off the terminal."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.undecoded, self.last = 0, ""

    def emit(self, record: logging.LogRecord) -> None:
        """Count it: the decoder's errors are messages that nobody got."""
        self.undecoded += record.name == DECODER
        self.last = str(record.msg)[:80]

    def listen(self) -> None:
        """Begin."""
        logger = logging.getLogger(LIBRARY)
        logger.propagate = False
        logger.addHandler(self)

    def end(self) -> None:
        """Stop listening."""
        logging.getLogger(LIBRARY).removeHandler(self)
