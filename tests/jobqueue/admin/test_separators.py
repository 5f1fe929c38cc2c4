"""Numbers that a page sends back are as they are, however the project writes numbers."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.test import Client

from jobqueue.models import Job
from tests.jobqueue.admin.steps import FAILED, choose, make_job

pytestmark = pytest.mark.django_db


def test_the_bound_of_an_action_on_all_jobs_is_sent_back_as_it_is(
    admin_client: Client, settings: LazySettings
) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    Job.objects.filter(pk=make_job("failed").pk).update(id=1_234_567)
    page = choose(admin_client, "retry", url=FAILED, select_across="1").content.decode()

    assert '<input type="hidden" name="newest" value="1234567">' in page
