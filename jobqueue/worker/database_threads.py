"""A thread for each database: one that hangs keeps no step in another from being taken."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Self

from jobqueue.sql.databases import close_broken_connections, databases, for_each_database

logger = logging.getLogger(__name__)

# For so many seconds whoever takes steps waits for a database once; after so many it is named as silent.
_PATIENCE = 1.0
_SILENT_AFTER = 5.0

Step = Callable[[str], object]


class DatabaseThreads:
    """Takes steps in several databases at once, for one thread that waits only so long for those that hang.

    A step that is not done by then goes on by itself, and until it has ended its database is left out. With
    one database, and before `start`, steps are taken one after the other by whoever asks for them.
    """

    def __init__(self, name: str, patience: float = _PATIENCE) -> None:
        """`name` says in the log who it is that takes steps."""
        self._name, self._patience = name, patience
        self._threads: dict[str, _DatabaseThread] | None = None

    @classmethod
    def started(cls, name: str, patience: float = _PATIENCE) -> Self:
        """Such threads, started."""
        made = cls(name, patience)
        made.start()
        return made

    def start(self) -> None:
        """From now on there are threads, if there are several databases."""
        if len(databases()) > 1:
            self._threads = {}

    @property
    def are_used(self) -> bool:
        """Whether a database that hangs is waited for only a while."""
        return self._threads is not None

    def is_under_way(self, using: str) -> bool:
        """Whether an earlier step there has not ended yet, so that the database is left out."""
        thread = (self._threads or {}).get(using)
        return thread is not None and thread.is_under_way

    def each(self, step: Step, among: Iterable[str] | None = None) -> bool:
        """Take the step in every database, or in these; one that is away or hangs keeps no other from it.

        Returns whether it has ended in all of them. Raises the first error, after all; also one of an earlier
        step that was not waited for any longer.
        """
        if self._threads is None:
            for_each_database(step, among)
            return True
        wanted = [self._thread_of(using) for using in (databases() if among is None else among)]
        late = [error for thread in wanted if (error := thread.late_error()) is not None]
        taken = [thread for thread in wanted if thread.take(step)]
        deadline = time.monotonic() + self._patience
        errors = [error for thread in taken if (error := thread.wait(deadline)) is not None]
        for error in (*errors, *late):
            raise error
        return len(taken) == len(wanted) and not any(thread.is_under_way for thread in taken)

    def has_been_late(self) -> bool:
        """Whether a step has ended since the last call that nobody waited for any longer."""
        late = [thread for thread in (self._threads or {}).values() if thread.has_been_late]
        for thread in late:
            thread.has_been_late = False
        return bool(late)

    def _thread_of(self, using: str) -> _DatabaseThread:
        assert self._threads is not None
        thread = self._threads.get(using)
        if thread is None:
            thread = self._threads[using] = _DatabaseThread(self._name, using)
            thread.start()
        return thread


IN_TURN = DatabaseThreads("nobody")
"""Takes every step one after the other."""


class _DatabaseThread(threading.Thread):
    """Takes one step at a time in one database."""

    def __init__(self, name: str, using: str) -> None:
        super().__init__(name=f"{name} {using}", daemon=True)
        self._using = using
        self._steps: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._begun_at = 0.0
        self._is_waited_for = self._is_named = False
        self._lock = threading.Lock()
        self._late_error: Exception | None = None
        self.is_under_way = self.has_been_late = False

    def take(self, step: Step) -> bool:
        """Begin with this step, unless another is under way."""
        if self.is_under_way:
            self._name_if_silent()
            return False
        self._begun_at, self._is_waited_for, self.is_under_way = time.monotonic(), True, True
        self._steps.put(step)
        return True

    def wait(self, deadline: float) -> Exception | None:
        """The error of the step that was taken, if it ends in time with one."""
        try:
            return self._ended.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            pass
        with self._lock:
            self._is_waited_for = False
        try:
            return self._ended.get_nowait()  # in the last moment
        except queue.Empty:
            return None

    def late_error(self) -> Exception | None:
        """The error of a step that was not waited for any longer; once."""
        error, self._late_error = self._late_error, None
        return error

    def run(self) -> None:
        """Body of the thread."""
        while True:
            self._end(self._error_of(self._steps.get()))

    def _error_of(self, step: Step) -> Exception | None:
        try:
            step(self._using)
        except Exception as error:
            close_broken_connections()
            return error
        return None

    def _end(self, error: Exception | None) -> None:
        if self._is_named:
            self._is_named = False
            logger.info("the database %r answers %s again", self._using, self.name)
        with self._lock:
            self.is_under_way = False
            if self._is_waited_for:
                self._ended.put(error)
            else:
                self._late_error, self.has_been_late = error, True

    def _name_if_silent(self) -> None:
        if not self._is_named and time.monotonic() - self._begun_at >= _SILENT_AFTER:
            self._is_named = True
            logger.warning(
                "the database %r does not answer %s: it is left out until it does, the others are served",
                self._using,
                self.name,
            )
