"""Bound how long a client of Spark Connect asks a server that does not answer.

pyspark does for ten minutes, and anew for each thing that it asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 8.0
"""Seconds from the first failure of a connection to the last attempt."""
QUIET = 20.0
"""Seconds without a failure after which a new one has its own patience: an attempt fails sooner."""


def retry_policy(clock: Callable[[], float] = time.monotonic) -> Any:
    """Return a policy of pyspark's client that retries what its own does, for `PATIENCE` seconds.

    All that is asked shares them: whoever cleans up after a failure learns at once that nobody is there.
    """
    from pyspark.sql.connect.client.retries import DefaultPolicy

    class BoundedPolicy(DefaultPolicy):
        """Retries until its patience is over."""

        def __init__(self) -> None:
            super().__init__(max_retries=None, backoff_multiplier=2.0, max_backoff=2000, jitter=100)
            self.first = self.last = clock() - QUIET

        def can_retry(self, e: BaseException) -> bool:
            if not super().can_retry(e):
                return False
            now = clock()
            if now - self.last >= QUIET:
                self.first = now
            self.last = now
            return now - self.first < PATIENCE

    return BoundedPolicy()


def bound_retries(session: Any) -> None:
    """Bound the retries of a Connect session that this process built; those of others stay theirs."""
    session.client.set_retry_policies([retry_policy()])
