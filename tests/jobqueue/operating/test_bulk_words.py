"""Which jobs a bulk action means, in the words by which a search finds them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobqueue.models import Selection
from jobqueue.operating.bulk_plans import in_words

DAY = {"due_from": datetime(2030, 1, 31, tzinfo=UTC), "due_to": datetime(2030, 2, 1, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection(state="waiting", **DAY), "delayed jobs, to run from 2030-01-31"),
        (Selection(state="waiting", held="yes", **DAY), "held jobs, to run from 2030-01-31"),
        (Selection(state="waiting", queue="email"), "waiting jobs, queue email"),
        (Selection(state="failed", queue="email"), "failed jobs, queue email"),
    ],
)
def test_jobs_are_called_by_the_word_that_finds_them(selection: Selection, words: str) -> None:
    assert in_words(selection).startswith(words)
