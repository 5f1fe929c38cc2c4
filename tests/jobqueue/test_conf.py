"""The JOBQUEUE setting."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured

from jobqueue.conf import Settings, get_settings
from jobqueue.jobs import RetryPolicy


def test_without_a_setting_the_defaults_are_in_force(settings: LazySettings) -> None:
    settings.JOBQUEUE = {}

    assert get_settings() == Settings()


def test_the_setting_may_be_absent(settings: LazySettings) -> None:
    del settings.JOBQUEUE

    assert get_settings() == Settings()


def test_a_changed_setting_is_followed(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"TIMEOUT": 12}
    assert get_settings().timeout == 12

    settings.JOBQUEUE = {"TIMEOUT": 13}
    assert get_settings().timeout == 13


def test_the_settings_are_parsed_once() -> None:
    assert get_settings() is get_settings()


def test_an_unknown_key_is_refused_with_the_one_that_was_meant(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"TIMEOUTS": 12}

    with pytest.raises(ImproperlyConfigured, match="no setting 'TIMEOUTS'. Did you mean 'TIMEOUT'?"):
        get_settings()


def test_a_key_unlike_any_other_is_refused_with_those_that_exist(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"zzz": 12}

    with pytest.raises(ImproperlyConfigured, match=r"Known are: .*HEARTBEAT_INTERVAL.*WORKER_SILENCE"):
        get_settings()


@pytest.mark.parametrize(
    "values",
    [
        {"HEARTBEAT_INTERVAL": 10},
        {"WORKER_SILENCE": 10},
        {"HEARTBEAT_INTERVAL": 5, "WORKER_SILENCE": 9},
    ],
)
def test_a_silence_that_one_late_heartbeat_would_make_is_refused(
    settings: LazySettings, values: dict[str, Any]
) -> None:
    settings.JOBQUEUE = values

    with pytest.raises(
        ImproperlyConfigured, match="WORKER_SILENCE must be more than twice HEARTBEAT_INTERVAL"
    ):
        get_settings()


def test_policies_may_be_written_as_dicts(settings: LazySettings) -> None:
    settings.JOBQUEUE = {
        "RETRY": {"max_retries": 2, "first_delay": timedelta(seconds=9)},
        "PROCESSOR_RETRY": {"a": {"max_retries": 5}, "b": RetryPolicy(max_retries=6)},
    }

    assert get_settings().retry == RetryPolicy(2, timedelta(seconds=9))
    assert get_settings().processor_retry == {"a": RetryPolicy(5), "b": RetryPolicy(6)}


def test_allowed_functions_may_be_written_as_a_list(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"ALLOWED_FUNCTIONS": ["shop.tasks.send"]}

    assert get_settings().allowed_functions == ("shop.tasks.send",)


def test_one_name_instead_of_a_list_of_allowed_functions_is_refused(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"ALLOWED_FUNCTIONS": "shop.tasks.send"}

    with pytest.raises(ImproperlyConfigured, match="ALLOWED_FUNCTIONS must be a tuple or list"):
        get_settings()
