"""Numbers beside each other are written alike, and what is done of a bulk action in whole per cents."""

from __future__ import annotations

import pytest
from django.utils import translation

from jobqueue.admin.bulk_pages import _said
from jobqueue.models import BulkAction
from jobqueue.operating.retelling import retold


def test_what_was_written_down_of_many_jobs_has_separators() -> None:
    with translation.override("en"):
        assert retold("Retry: 1000 jobs (queue email).") == "Retry: 1,000 jobs (queue email)."
    with translation.override("de"):
        assert "1.000 Aufträge" in retold("Retry: 1000 jobs (queue email).")


def test_the_number_of_a_job_has_none() -> None:
    with translation.override("en"):
        assert (
            retold("Copy: job #20555, with the same payload.") == "Copy: job #20555, with the same payload."
        )


@pytest.mark.parametrize(("changed", "said"), [(120, "12 % done"), (999, "99 % done")])
def test_a_bulk_action_tells_whole_per_cents(changed: int, said: str) -> None:
    assert _said(BulkAction(expected=1000, changed=changed), {}) == said
