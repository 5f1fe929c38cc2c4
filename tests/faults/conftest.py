"""What the fault tests share."""

from __future__ import annotations

import os

# Not skipped but not collected: these faults do not exist on a database without a server.
collect_ignore = (
    []
    if os.environ.get("TEST_DATABASE_URL", "").startswith("postgres")
    else [
        "test_hang_on_postgresql.py",
        "test_postgresql.py",
        "test_postgresql_clock.py",
        "test_postgresql_crashes.py",
        "test_postgresql_in_jobs.py",
        "test_postgresql_isolation.py",
        "test_start_on_postgresql.py",
    ]
)
