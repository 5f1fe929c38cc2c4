"""The box before each job of a list."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.utils import translation

from jobqueue.models import Job

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("name", ["<b>", "plain"])
def test_the_box_of_a_job_is_the_one_that_django_makes(language: str, name: str) -> None:
    job = Job(pk=12_345, processor=name)
    with translation.override(language):
        made = admin.site.get_model_admin(Job).action_checkbox(job)
        assert made == admin.ModelAdmin(Job, admin.site).action_checkbox(job)
