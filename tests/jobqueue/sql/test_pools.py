"""A worker's process does without the pool that a project has for its requests."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from jobqueue.sql.pools import leave_pools_in_this_process


@pytest.mark.parametrize("pool", [True, {"min_size": 2, "max_size": 4}])
def test_a_workers_process_leaves_the_pool_and_keeps_the_other_options(
    monkeypatch: pytest.MonkeyPatch, pool: Any
) -> None:
    entry = connections.settings["default"] | {
        "ENGINE": "django.db.backends.postgresql",
        "OPTIONS": {"pool": pool, "sslmode": "prefer"},
    }
    monkeypatch.setitem(connections.settings, "pooled", entry)

    leave_pools_in_this_process()

    assert entry["OPTIONS"] == {"sslmode": "prefer"}
