"""What one test leaves in the caches is not met by another, whichever comes first."""

from __future__ import annotations

import pytest
from django.core.cache import cache


@pytest.mark.parametrize("turn", ("first", "second"))
def test_a_cache_is_empty_when_a_test_begins(turn: str) -> None:
    assert cache.get("left-behind") is None
    cache.set("left-behind", turn, timeout=None)
