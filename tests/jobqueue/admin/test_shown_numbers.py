"""Numbers on the pages have separators: 50000 jobs are read as 5,000 at night."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobqueue.models import Job
from jobqueue.templatetags.jobqueue_words import grouped
from tests.servers import ROOT

_COUNTED = re.compile(r"{% blocktranslate count (\w+)=(.*?)%}(.*?){% endblocktranslate %}", re.DOTALL)
FEW = {"more"}
"""What is below a thousand by its nature."""
PAGES = [path for app in ("jobqueue", "settlements") for path in (ROOT / app / "templates").rglob("*.html")]


def test_no_template_shows_a_number_that_it_counts_as_it_is() -> None:
    bare = [
        f"{path.name}: {name}={value.split()[0]}"
        for path in PAGES
        for name, value, text in _COUNTED.findall(path.read_text())
        if f"{{{{ {name} }}}}" in text and value.split()[0] not in FEW
    ]
    assert bare == []


def test_a_number_that_was_not_counted_to_its_end_says_so() -> None:
    from jobqueue.admin.listing import BoundedCount

    number = BoundedCount(10_000)
    number.stopped = True
    assert (grouped(12_345), grouped(number)) == ("12,345", "10,000+")


@pytest.mark.django_db
def test_the_calendar_shows_how_many_thousands_wait(admin_client: Client) -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    job = {"processor": "sample.succeed", "queue": "email", "timeout": 1, "run_at": tomorrow}
    Job.objects.bulk_create([Job(**job) for _ in range(1_234)])
    text = admin_client.get(reverse("admin:jobqueue_job_calendar")).content.decode()
    assert "1,234 jobs" in text
