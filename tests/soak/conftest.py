"""What the long trials share: how long each of them may take."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def soak_minutes() -> float:
    """About how long one long trial may take (SOAK_MINUTES; `make soak MINUTES=10` sets it)."""
    return float(os.environ.get("SOAK_MINUTES") or 10)
