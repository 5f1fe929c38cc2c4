"""Waits for what can be read, be it a socket or a pipe."""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any

_MOST_FOR_SELECT = 1024


def readable(files: Sequence[Any], timeout: float) -> set[int]:
    """Those of these files, by number, that can be read within so many seconds.

    `select` waits to the microsecond and `poll` to the millisecond, but only `poll` takes numbers above 1023,
    which a process gets whose jobs leave files open.
    """
    numbers = [file if isinstance(file, int) else file.fileno() for file in files]
    if max(numbers) < _MOST_FOR_SELECT:
        return set(select.select(numbers, [], [], max(0.0, timeout))[0])
    poll = select.poll()
    for number in numbers:
        poll.register(number, select.POLLIN)
    return {number for number, _event in poll.poll(1000 * max(0.0, timeout))}
