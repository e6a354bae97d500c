"""What the server takes of one request and of one client."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from clearir.support.errors import InputError


@dataclass(frozen=True)
class Limits:
    """Bounds of what the server takes; 4xx beyond them.

    Attributes:
        characters: of a query.
        k: passages of an answer.
        batch: queries of a request.
        body: bytes of a request.
        rate: queries a second that a client may go on with; 0: no limit.
        burst: queries that a client may send at once after a pause.
    """

    characters: int = 1000
    k: int = 100
    batch: int = 32
    body: int = 256 * 1024
    rate: float = 10
    burst: int = 60

    def check(self, queries: list[str], k: int) -> None:
        """Refuse what is beyond the limits.

        Raises:
            InputError: with what was asked and what is allowed.
        """
        if not queries:
            raise InputError("no query; send one")
        if len(queries) > self.batch:
            raise InputError(f"{len(queries)} queries; send at most {self.batch} at once")
        longest = max(map(len, queries))
        if longest > self.characters:
            raise InputError(f"a query of {longest:,} characters; at most {self.characters:,} are read")
        if not 1 <= k <= self.k:
            raise InputError(f"k is {k}; ask for 1 to {self.k} passages")


#: of wrong tokens: six at once, then one a second, whatever ``rate`` is
GUESSES = Limits(rate=1, burst=6)


class RateLimit:
    """A bucket of tokens a client: full at first, refilled steadily, a query takes one."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic, clients: int = 10_000) -> None:
        self._rate, self._burst = limits.rate, float(limits.burst)
        self._clock, self._clients = clock, clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, client: str, queries: int = 1, *, take: bool = True) -> float:
        """Take ``queries`` tokens; where there are too few, take none and return the seconds until there are enough.

        Args:
            client: who asks.
            queries: how many.
            take: False only looks.
        """
        if not self._rate:
            return 0.0
        with self._lock:
            now = self._clock()
            tokens, then = self._buckets.pop(client, (self._burst, now))
            tokens = min(self._burst, tokens + (now - then) * self._rate)
            enough = tokens >= queries
            self._buckets[client] = (tokens - queries if enough and take else tokens, now)
            while len(self._buckets) > self._clients:  # the longest unseen are forgotten
                self._buckets.popitem(last=False)
            return 0.0 if enough else (queries - tokens) / self._rate
