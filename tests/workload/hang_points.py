"""Holds a real worker at a chosen step, until a test kills it there or lets it go on.

A worker started with `WORKLOAD_HANG_AT="jobqueue.models.transitions.claim:before"` stops at the call of
that function (`:after`: at its return) in every thread that comes there. The production code knows
nothing of it: the function is wrapped when the worker's Django starts.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import redis

from tests.workload.places import find

BELL = "workload:hang-bell"
"""The list that gets the process id of whoever comes to the step."""

GATE = "workload:hang-gate"
"""The list whose first entry lets everybody go on, now and later."""

PASSED_BELL = "workload:hang-passed-bell"
"""The list that gets the process id of whoever went on and has left the function."""


def install(step: str) -> None:
    """Hold whoever comes to `step`: the dotted name of a function, then `:before` or `:after`."""
    name, _, moment = step.partition(":")
    if moment not in ("before", "after"):
        raise ValueError(f"WORKLOAD_HANG_AT must end with :before or :after, not {step!r}")
    owner, attribute = find(name)
    function = getattr(owner, attribute)

    @functools.wraps(function)
    def held(*arguments: Any, **named: Any) -> Any:
        if moment == "before":
            _hold()
        answer = function(*arguments, **named)
        if moment == "after":
            _hold()
        _client().rpush(PASSED_BELL, os.getpid())
        return answer

    setattr(owner, attribute, held)


def _hold() -> None:
    _client().rpush(BELL, os.getpid())
    # What is taken from the gate is put back: it stays open.
    while _client().blmove(GATE, GATE, timeout=1) is None:
        pass


def _client() -> redis.Redis:
    from tests.workload.processors import client

    return client()
