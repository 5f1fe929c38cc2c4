"""Questions to Redis and to the databases that are answered in time, or not at all.

A store that hangs must not hold whoever asks for it, and not the next one who asks either: a site with one
worker answers its probes one after the other, and twenty of them would keep it from everybody else.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar
from weakref import WeakSet

from django.core.signals import setting_changed

from jobqueue.conf import get_settings
from jobqueue.sql.clock import about_now

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_MOST_LATE = 8
"""So many threads may hang at one store; with so many, nobody asks until one of them is back."""
_ASK_AGAIN_AFTER = 5.0
"""Seconds after which a question that hangs is asked once more: its connection may be the only trouble."""
_SLOW = 0.25
"""A failure that took so many seconds is remembered; a quicker one costs nothing to find again."""
_REMEMBERED = 2.0
"""For so many times HEALTH_TIMEOUT."""


@dataclass(slots=True, eq=False)
class _Asked(Generic[Answer]):
    """One question on its way."""

    since: float = field(default_factory=time.monotonic)
    began: datetime = field(default_factory=about_now)
    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    error: Exception | None = None

    @property
    def age(self) -> float:
        return time.monotonic() - self.since


@dataclass(frozen=True, slots=True)
class Answered(Generic[Answer]):
    """What a store said, or that it said nothing in time."""

    is_there: bool
    answer: Answer | None = None


class Probe(Generic[Answer]):
    """One question to one store; those who ask at the same time share its answer.

    It is asked on a thread made for it, so nothing is lost in a fork, and no thread waits while nobody asks.
    """

    _all: ClassVar[WeakSet[Probe[Any]]] = WeakSet()

    def __init__(self, store: str, ask: Callable[[], Answer]) -> None:
        self._store = store
        self._ask = ask
        self.forget()
        self._all.add(self)

    def forget(self) -> None:
        """Ask anew, whatever is under way: the store is another one, or this is another process."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._under_way: list[_Asked[Answer]] = []
        self._down_until = 0.0
        self._silent_since: datetime | None = None

    @property
    def silent_since(self) -> datetime | None:
        """When this process asked first in vain since the last answer; None if it was answered last."""
        return self._silent_since

    def begin(self) -> _Asked[Answer] | None:
        """Ask, or join whoever asked just now; None where the store did not answer a moment ago."""
        if self._pid != os.getpid():
            self.forget()  # a fork copied a lock that nobody holds, and threads that are not here
        with self._lock:
            self._under_way = [asked for asked in self._under_way if not asked.done.is_set()]
            newest = self._under_way[-1] if self._under_way else None
            if newest is not None and (newest.age < _ASK_AGAIN_AFTER or len(self._under_way) >= _MOST_LATE):
                return newest
            if time.monotonic() < self._down_until:
                return None
            asked: _Asked[Answer] = _Asked()
            self._under_way.append(asked)
        threading.Thread(
            target=self._run, args=(asked,), name=f"jobqueue probe of {self._store}", daemon=True
        ).start()
        return asked

    def _run(self, asked: _Asked[Answer]) -> None:
        try:
            asked.answer = self._ask()
            self._silent_since = None
        except Exception as error:
            asked.error = error
            self._silent_since = self._silent_since or asked.began
            if asked.age >= _SLOW and asked in self._under_way:
                self._down_until = time.monotonic() + _REMEMBERED * get_settings().health_timeout
        finally:
            asked.done.set()

    def ask(self) -> Answered[Answer]:
        """Ask, and wait for the answer, HEALTH_TIMEOUT at most."""
        return self.finish(self.begin())

    def finish(self, asked: _Asked[Answer] | None, within: float | None = None) -> Answered[Answer]:
        """The answer, at most HEALTH_TIMEOUT after it was asked for, or `within` so many seconds.

        What went wrong is logged.
        """
        limit = get_settings().health_timeout if within is None else within
        if asked is None or not asked.done.wait(max(0.0, limit - asked.age)):
            logger.warning("%s did not answer within %g s", self._store, limit)
            self._silent_since = self._silent_since or (asked.began if asked is not None else about_now())
            return Answered(False)
        if asked.error is not None:
            logger.warning(
                "%s cannot be reached: %s: %s", self._store, type(asked.error).__name__, asked.error
            )
            return Answered(False)
        return Answered(True, asked.answer)


def ask_here(store: str, ask: Callable[[], Answer]) -> Answered[Answer]:
    """Ask on this thread: for a store that keeps to the time by itself."""
    try:
        return Answered(True, ask())
    except Exception as error:
        logger.warning("%s cannot be reached: %s: %s", store, type(error).__name__, error)
        return Answered(False)


def _forget_answers(*, setting: str, **_: Any) -> None:
    if setting in ("RQ_QUEUES", "JOBQUEUE", "DATABASES"):
        for probe in Probe._all:
            probe.forget()


setting_changed.connect(_forget_answers, dispatch_uid="jobqueue.monitoring.probes")
