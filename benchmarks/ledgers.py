"""Where it is written which jobs ran: what a drain counts, and checks at its end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

import redis

from benchmarks.processes import BenchmarkFailed
from benchmarks.servers import PostgreSQLServer
from benchmarks.work.body import EFFECTS


class Ledger(Protocol):
    """Counts the jobs that ran, and tells when each did."""

    look_every: float
    """Seconds between two looks at the count, so that counting costs next to nothing."""

    def count(self) -> int:
        """How many jobs ran."""

    def read(self) -> dict[int, float]:
        """By job number: when it ran. Raises BenchmarkFailed if one ran twice."""

    def close(self) -> None:
        """Give up what it counts with."""


class RedisLedger:
    """The list that the benchmark's job pushes to."""

    look_every = 0.02

    def __init__(self, connection: redis.Redis) -> None:
        self._redis = connection

    def count(self) -> int:
        """One LLEN."""
        length: int = self._redis.llen(EFFECTS)
        return length

    def read(self) -> dict[int, float]:
        """The list, as it was pushed."""
        entries = (entry.split() for entry in self._redis.lrange(EFFECTS, 0, -1))
        return once_each((int(number), float(moment)) for number, moment in entries)

    def close(self) -> None:
        """Nothing: the connection is the arena's."""


class DeliveryLedger:
    """The rows that the e-mail job writes."""

    look_every = 0.1

    def __init__(self, server: PostgreSQLServer, database: str) -> None:
        self._connection = server.connect(database)

    def count(self) -> int:
        """The rows that say "sent"."""
        rows = self._connection.execute(
            "SELECT count(*) FROM settlements_emaildelivery WHERE status = 'sent'"
        )
        return int(str(rows.fetchall()[0][0]))

    def read(self) -> dict[int, float]:
        """By the number in the recipient's address."""
        rows = self._connection.execute(
            "SELECT recipient, extract(epoch FROM sent_at), tries FROM settlements_emaildelivery"
        ).fetchall()
        if any(tries != 1 for _recipient, _sent_at, tries in rows):
            raise BenchmarkFailed("an e-mail was sent twice")
        return once_each((_number_in(str(recipient)), float(str(sent_at))) for recipient, sent_at, _ in rows)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def once_each(runs: Iterable[tuple[int, float]]) -> dict[int, float]:
    """The moment of each run by its job's number; BenchmarkFailed if a number occurs twice."""
    moments: dict[int, float] = {}
    twice: list[int] = []
    for number, moment in runs:
        if number in moments:
            twice.append(number)
        moments[number] = moment
    if twice:
        raise BenchmarkFailed(f"{len(twice)} jobs ran twice, among them number {twice[0]}")
    return moments


def check_all_ran(moments: dict[int, float], count: int) -> None:
    """BenchmarkFailed unless exactly the jobs 0 to `count` - 1 ran."""
    missing = sorted(set(range(count)) - moments.keys())
    if missing:
        raise BenchmarkFailed(f"{len(missing)} of {count} jobs did not run, among them number {missing[0]}")
    if len(moments) > count:
        raise BenchmarkFailed(f"{len(moments) - count} jobs ran that nobody asked for")


def _number_in(recipient: str) -> int:
    found = re.search(r"\d+", recipient)
    if found is None:
        raise BenchmarkFailed(f"an e-mail went to {recipient}, which nobody asked for")
    return int(found[0])
