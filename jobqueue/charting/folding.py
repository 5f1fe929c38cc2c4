"""Folds the chart that Redis keeps for two days into the hours that the database keeps for ninety.

What is written is the sum of an hour, not what was added to it: to fold twice, beside another, or only half
changes nothing for the worse.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from jobqueue.broker import chart
from jobqueue.broker.chart import KEPT_PERIODS, PERIOD, Chart
from jobqueue.broker.tallies import Tally
from jobqueue.models import ChartHour
from jobqueue.models.chart import HourAmounts, HourKey, write_hours
from jobqueue.sql.clock import database_now

HOUR = 3600
PERIODS_OF_AN_HOUR = HOUR // PERIOD
Hours = dict[HourKey, Tally]


def home() -> str:
    """The alias of the database that keeps the hours: where routers write them."""
    return ChartHour.objects.db


def fold(hours: int) -> int:
    """Write down this hour and so many before it, as far as Redis has them. How many rows that changed.

    Raises BrokerUnavailable, or the database's error; then it can be done again.
    """
    using = home()
    now = int(database_now(using).timestamp())
    first = max((now // HOUR - hours) * PERIODS_OF_AN_HOUR, now // PERIOD - KEPT_PERIODS)
    found = by_hour(chart.read(range(first, now // PERIOD + 1)))
    return write_hours({key: _amounts(tally) for key, tally in found.items()}, using) if found else 0


def by_hour(periods: Chart) -> Hours:
    """The periods of each hour, added up."""
    hours: Hours = {}
    for period, groups in periods.items():
        hour = datetime.fromtimestamp(period // PERIODS_OF_AN_HOUR * HOUR, UTC)
        for group, tally in groups.items():
            hours.setdefault(HourKey(hour, *_kept(group)), Tally()).add(tally)
    return hours


def _kept(names: Iterable[str]) -> list[str]:
    """The names as a row takes them: Redis holds what somebody else wrote as well."""
    return [name.replace("\x00", "")[: 20 if place == 2 else 100] for place, name in enumerate(names)]


def _amounts(tally: Tally) -> HourAmounts:
    return HourAmounts(tally.jobs, tally.runs, tally.waits)
