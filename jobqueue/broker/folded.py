"""Who folds the chart: one of all workers, every few minutes."""

from __future__ import annotations

from jobqueue.broker import keys
from jobqueue.broker.connections import as_unavailable, clients
from jobqueue.broker.strange_keys import mending


def take_turn(candidate: str, seconds: int) -> bool:
    """Whether this one is to fold now. For so many seconds nobody else gets a turn.

    Who ends within its turn is followed by another after that time: to fold twice changes nothing.
    """
    with as_unavailable():
        client = clients("work")[0]
        return bool(
            mending(
                client,
                {keys.CHART_FOLDED: "string"},
                lambda: client.set(keys.CHART_FOLDED, candidate, nx=True, ex=seconds),
            )
        )
