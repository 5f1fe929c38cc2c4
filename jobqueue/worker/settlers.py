"""The outcomes of each database have a settler of their own: one that hangs holds up no other's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypedDict, Unpack

from jobqueue.sql.databases import databases
from jobqueue.worker.claiming import Identity
from jobqueue.worker.outcomes import Outcome
from jobqueue.worker.settler import Settler
from jobqueue.worker.telling import Teller


class Arguments(TypedDict):
    """What a settler is given by name."""

    others_run: Callable[[], bool]
    settled: Callable[[list[Outcome], list[Outcome]], None]
    guard: Callable[[Callable[[], None]], Callable[[], None]]


class Settlers:
    """Has outcomes settled, each by the settler of its database."""

    def __init__(self, identity: Identity, teller: Teller, **arguments: Unpack[Arguments]) -> None:
        """The arguments are those of a settler; `settled` is called by one of them at a time."""
        self._identity, self._teller, self._arguments = identity, teller, arguments
        self._adding, self._noting = threading.Lock(), threading.Lock()
        self._settlers: dict[str, Settler] = {}

    def start(self) -> None:
        """Start a thread for each database."""
        for using in databases():
            self._of(using)

    def put(self, outcome: Outcome) -> None:
        """Have this outcome settled."""
        settler = self._settlers.get(outcome.using)
        (settler or self._of(outcome.using)).put(outcome)

    def stop(self, timeout: float) -> None:
        """Settle what is there and end, within `timeout` seconds as far as the databases answer."""
        deadline = time.monotonic() + timeout
        settlers = list(self._settlers.values())
        for settler in settlers:
            settler.end_soon()
        for settler in settlers:
            settler.join(max(0.0, deadline - time.monotonic()))

    def _of(self, using: str) -> Settler:
        with self._adding:
            if using not in self._settlers:
                arguments = self._arguments | {"settled": self._note_settled}
                settler = Settler(self._identity, self._teller, **arguments)
                settler.start()
                self._settlers[using] = settler
            return self._settlers[using]

    def _note_settled(self, outcomes: list[Outcome], counted: list[Outcome]) -> None:
        with self._noting:
            self._arguments["settled"](outcomes, counted)
