"""A role whose sessions are not READ COMMITTED: a worker that starts says so, and what is allowed.

Collected on PostgreSQL only (conftest.py).
"""

from __future__ import annotations

import pytest

from tests.conftest import StartWorker
from tests.workload.fixtures import Workload


@pytest.mark.parametrize(
    ("given", "named"), [(r"repeatable\ read", "REPEATABLE READ"), ("serializable", "SERIALIZABLE")]
)
def test_a_worker_refuses_the_isolation_that_the_server_gives_it(
    rqworker: StartWorker, workload: Workload, given: str, named: str
) -> None:
    worker = rqworker(PGOPTIONS=f"-c default_transaction_isolation={given}", wait=False)

    assert worker.wait() == 1
    assert f"the transactions of the database 'default' are {named}" in worker.output
    assert "Keep READ COMMITTED" in worker.output
