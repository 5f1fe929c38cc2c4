"""What a worker waits for before it begins: its databases, their tables, and its Redis.

It is no stricter than a worker that runs: what is away is waited for, and one database of several does not
keep the others' jobs waiting. What no waiting mends is refused with a sentence.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections

from jobqueue.broker import greeting
from jobqueue.exceptions import BrokerUnavailable, CannotStart
from jobqueue.models import Job, Queue
from jobqueue.sql import isolation, read_only, refusals
from jobqueue.sql.databases import OUTAGES, close_broken_connections, databases, leave_out
from jobqueue.sql.schema import missing_migrations
from jobqueue.worker.pauses import GrowingPauses

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0
# The same trouble is told again after so many seconds, and a silent server is named after so many.
_TELL_AGAIN = 30.0
_SILENT_AFTER = 3.0


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why a server cannot be used now."""

    text: str
    is_final: bool = False
    """No waiting mends it."""
    is_schema: bool = False
    """It is there, and its tables are not as this code wants them."""
    is_never_migrated: bool = False
    """It has none of them."""


def wait_for_servers(queues: Sequence[str]) -> None:
    """Return once the jobs of these queues can be run. Raises CannotStart for what no waiting mends."""
    waits = _Waits()
    while True:
        troubles = _troubles_of_databases()
        if not troubles or _may_begin_without(troubles):
            found = _trouble_of_redis(queues)
            if found is None:
                break
            if found.is_final:
                raise CannotStart(found.text)
            waits.tell(found.text)
        else:
            waits.tell("; ".join(trouble.text for trouble in troubles.values()))
        waits.pause()
    for using, trouble in troubles.items():
        if trouble.is_final or trouble.is_never_migrated:
            logger.warning("set aside until this worker is started again: %s", trouble.text)
            leave_out(using)
        else:
            logger.warning("beginning without a database: %s", trouble.text)
    waits.end()


def _may_begin_without(troubles: dict[str, _Trouble]) -> bool:
    """Whether the databases without trouble are enough; CannotStart if those with it are too many for good.

    Pauses and limits stand in one of them: nothing starts before they are known. Tables that are older than
    the code are waited for: who deploys is about to migrate.
    """
    needed = Queue.objects.db
    final = [trouble for trouble in troubles.values() if trouble.is_final]
    if final and (len(final) == len(databases()) or (needed in troubles and troubles[needed].is_final)):
        raise CannotStart("; ".join(trouble.text for trouble in final))
    return (
        needed not in troubles
        and len(troubles) < len(databases())
        and not any(trouble.is_schema and not trouble.is_never_migrated for trouble in troubles.values())
    )


def _troubles_of_databases() -> dict[str, _Trouble]:
    return {using: trouble for using in databases() if (trouble := _trouble_of_database(using)) is not None}


def _trouble_of_database(using: str) -> _Trouble | None:
    try:
        with _saying_if_silent(f"the database {using!r}"):
            why = read_only.why_not_written(using)
            if why:
                return _Trouble(read_only.sentence(using, why), is_final=True)
            if level := isolation.refused_by_server(using):
                return _Trouble(f"{isolation.sentence(using, level)}. {isolation.HINT}", is_final=True)
            return _trouble_of_schema(using)
    except ImproperlyConfigured as error:
        return _Trouble(f"the database {using!r} cannot be used: {error}", is_final=True)
    except OUTAGES as error:
        close_broken_connections()
        text = f"{type(error).__name__}: {_one_line(error)}"
        setting = refusals.setting_that_helps(error)
        if setting:
            advice = f"Look at {setting} of DATABASES[{using!r}]"
            return _Trouble(f"the database {using!r} refuses this worker: {text}. {advice}", is_final=True)
        return _Trouble(f"waiting for the database {using!r}: {text}")


def _trouble_of_schema(using: str) -> _Trouble | None:
    apps = missing_migrations(using)
    if not apps:
        return None
    whose = "the job queue's tables" if apps[0] == "jobqueue" else f"the tables of {', '.join(apps)}"
    where, option = "", ""
    if using != DEFAULT_DB_ALIAS:
        where, option = f" in the database {using!r}", f" --database {using}"
    text = f"{whose} are missing or old{where}; run: manage.py migrate{option}"
    # One that was never migrated may never be; who deploys migrates those that were.
    return _Trouble(text, is_schema=True, is_never_migrated=not _has_tables(using))


def _has_tables(using: str) -> bool:
    return Job._meta.db_table in connections[using].introspection.table_names()


def _trouble_of_redis(queues: Sequence[str]) -> _Trouble | None:
    for queue in queues:
        try:
            greeting.greet(queue)
        except BrokerUnavailable as error:
            text = _one_line(error)
            if advice := greeting.refusal_for_good(error):
                text = text if advice in text else f"{text}. {advice}"
                return _Trouble(f"Redis refuses this worker (queue {queue}): {text}", is_final=True)
            return _Trouble(f"waiting for Redis: {text}")
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def _saying_if_silent(whom: str) -> Iterator[None]:
    """A server that takes the connection and does not answer may keep this thread for minutes."""
    timer = threading.Timer(_SILENT_AFTER, logger.warning, ("waiting for %s: it does not answer", whom))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


class _Waits:
    """Growing pauses, and what is told meanwhile: what is new at once, the same now and then."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep, self._pauses = sleep, GrowingPauses(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._told, self._tell_from = "", 0.0

    def tell(self, text: str) -> None:
        if text != self._told or time.monotonic() >= self._tell_from:
            logger.warning("%s", text)
            self._told, self._tell_from = text, time.monotonic() + _TELL_AGAIN

    def pause(self) -> None:
        connections.close_all()
        self._sleep(self._pauses.after_failure())

    def end(self) -> None:
        if self._told:
            logger.info("what was waited for is there")
