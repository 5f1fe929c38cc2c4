"""What outcomes add to the counters."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue import registry
from jobqueue.broker import counters
from tests.jobqueue.processors_for_tests import (
    COUNTED,
    DISCARD,
    FAIL,
    ON_REMINDERS,
    RETRY_LATER,
    SKIP,
    SUCCEED,
)
from tests.jobqueue.steps import claimed, run

pytestmark = pytest.mark.django_db


def _counted(name: str, **payload: Any) -> None:
    run(claimed(name, **payload))


def test_every_outcome_is_counted_by_queue_and_status() -> None:
    for name in (SUCCEED, SUCCEED, SKIP, FAIL, DISCARD, RETRY_LATER, ON_REMINDERS):
        _counted(name)
    stored = counters.read()

    assert {field: value for field, value in stored.items() if "job_processing_total" in field} == {
        '["job_processing_total","email","completed"]': 2,
        '["job_processing_total","email","skipped"]': 1,
        '["job_processing_total","email","retried"]': 2,
        '["job_processing_total","email","failed"]': 1,
        '["job_processing_total","reminders","completed"]': 1,
    }


def test_a_processor_with_a_counter_is_counted_by_type_and_status() -> None:
    _counted(COUNTED, kind="initial")
    _counted(COUNTED, kind="final")
    _counted(COUNTED, kind="final")
    _counted(COUNTED)
    stored = counters.read()

    assert {field: value for field, value in stored.items() if "sample" in field} == {
        '["sample_runs_total","initial","completed"]': 1,
        '["sample_runs_total","final","completed"]': 2,
        '["sample_runs_total","","completed"]': 1,
    }


def test_an_outcome_of_an_unknown_processor_is_counted_by_its_queue() -> None:
    job = claimed()
    registry.unregister(SUCCEED)
    run(job)

    assert counters.read()['["job_processing_total","email","retried"]'] == 1
