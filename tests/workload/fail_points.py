"""Ends a process at the point that a test names, as a crash would: at once, in the middle of a step.

WORKLOAD_FAIL_POINT="jobqueue.broker.queues.publish:after#3" ends whichever process makes the third call of
that function, once the call has returned. The calls are counted in the Redis of the workload, over all
processes, so only one process is struck and its replacement goes on.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from typing import Any, Self

from tests.workload.places import find

EXIT_STRUCK = 86
CALLS = "workload:fail-point:calls"
STRUCK = "workload:fail-point:struck"


@dataclass(frozen=True, slots=True)
class FailPoint:
    """The moment just before or just after the `call`-th call of a function, given by its dotted path."""

    function: str
    moment: str
    call: int = 1

    def __str__(self) -> str:
        return f"{self.function}:{self.moment}#{self.call}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The point that a text names; ValueError if it names none."""
        match = re.fullmatch(r"(?P<function>[\w.]+):(?P<moment>before|after)(?:#(?P<call>\d+))?", text)
        if match is None:
            raise ValueError(f"{text!r} is no fail point: write 'package.module.function:before#2'")
        return cls(match["function"], match["moment"], int(match["call"] or 1))

    def arm(self) -> None:
        """From now on, in this process and those it forks, the function ends its process at the point."""
        owner, name = find(self.function)
        function = getattr(owner, name)

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            is_struck = self._next_call() == self.call
            if is_struck and self.moment == "before":
                self._strike()
            answer = function(*args, **kwargs)
            if is_struck:
                self._strike()
            return answer

        setattr(owner, name, guarded)

    def _next_call(self) -> int:
        from tests.workload.processors import client

        return int(client().incr(CALLS))

    def _strike(self) -> None:
        from tests.workload.processors import client

        client().set(STRUCK, str(self))
        print(f"fail point {self} ends process {os.getpid()}", flush=True)
        os._exit(EXIT_STRUCK)
