"""What a test of real workers says when their jobs do not end."""

from __future__ import annotations

import re

import pytest

from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload, note_jobs, wait_until_done


def test_where_the_messages_are_and_what_each_thread_does_is_told(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", "1", queues=("settlement",))
    note_jobs(3)
    with pytest.raises(pytest.fail.Exception, match=r"2 jobs, the last of them .*rq:queue:\w+: 1"):
        wait_until_done(2.0)
    wait_until(lambda: re.search(r'File ".*claim_loop\.py", line \d+ in', worker.output))
