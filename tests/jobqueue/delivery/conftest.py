"""Fixtures of the tests of delivery."""

from __future__ import annotations

import pytest
from django.conf import LazySettings


@pytest.fixture
def at_once(settings: LazySettings, nothing_takes_time: None) -> LazySettings:
    """Messages count as lost at once."""
    settings.JOBQUEUE = settings.JOBQUEUE | {"LOST_AFTER": 0}
    return settings
