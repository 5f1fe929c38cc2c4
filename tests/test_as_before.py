"""What one test leaves behind is no other test's."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone, translation

from tests.as_before import TAKEN, as_before

LEFT: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    **{
        number.name: (
            lambda number=number: signal.signal(number, signal.SIG_IGN),
            lambda number=number: signal.getsignal(number),
        )
        for number in TAKEN
    },
    "language": (lambda: translation.activate("de"), translation.get_language),
    "zone": (lambda: timezone.activate("Asia/Tokyo"), timezone.get_current_timezone_name),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_behind_is_gone(name: str) -> None:
    leave, read = LEFT[name]
    before = read()
    with as_before():
        leave()
        assert read() != before

    assert read() == before
