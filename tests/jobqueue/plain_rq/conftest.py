"""What holds for all tests of plain RQ's jobs."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from jobqueue.plain_rq import adoption
from tests.workload.functions import FAIL, NOTE, NOTE_EACH, NOTE_LATER


@pytest.fixture(autouse=True)
def _allowed(settings: LazySettings) -> None:
    settings.JOBQUEUE = {
        "ALLOWED_FUNCTIONS": [NOTE, FAIL, NOTE_LATER, NOTE_EACH],
        "PROCESSOR_RETRY": {adoption.PROCESSOR: {"max_retries": 1}},
        "TIMEOUT": 33,
    }
