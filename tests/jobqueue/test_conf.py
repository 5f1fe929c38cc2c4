"""The JOBQUEUE setting."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from jobqueue import conf
from jobqueue.conf import Settings, get_settings
from jobqueue.jobs import RetryPolicy


def test_without_a_setting_the_defaults_are_in_force(settings: LazySettings) -> None:
    settings.JOBQUEUE = {}

    assert get_settings() == Settings()


def test_the_setting_may_be_absent(settings: LazySettings) -> None:
    settings.JOBQUEUE = {}  # which is told to whoever read it before; that it goes is not
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


# What each key may be -----------------------------------------------------------------------------

SECONDS_ABOVE_0 = ["TIMEOUT", "HEARTBEAT_INTERVAL", "WORKER_SILENCE", "PUBLISH_TIMEOUT", "REDIS_TIMEOUT"]
SECONDS_ABOVE_0 += ["RELAY_INTERVAL", "HEALTH_TIMEOUT"]
WAITS_ABOVE_0 = ["TIMEOUT_GRACE", "LOST_AFTER", "UNKNOWN_PROCESSOR_TIMEOUT", "LATE_AFTER"]
SECONDS = ["SHUTDOWN_TIMEOUT", "PUBLISH_PAUSE", "OUTAGE_RETRY_FOR", "RECONCILE_INTERVAL"]
WHOLE_NUMBERS = ["PAYLOAD_LIMIT", "THREADS", "PROCESSES", "RELAY_BATCH", "LOG_LIMIT"]
WHOLE_NUMBERS_OR_NONE = ["MAX_JOBS_PER_PROCESS", "MAX_MEMORY_PER_PROCESS"]
LENGTHS = ["KEEP_COMPLETED", "KEEP_FAILED", "KEEP_AUDIT"]

NO_SECONDS = ["3m", "", None, True, math.inf, -math.inf, math.nan, -1, -0.5, 10**400, [5], timedelta(-1)]
NO_WHOLE_NUMBERS = ["two", "2", True, 0, -3, 2.0, math.inf, math.nan, 10**400, [1], timedelta(1)]
NO_LENGTHS = [5, 5.5, "30 days", None, timedelta(-1), timedelta.max]
NO_POLICIES = [True, -1, 3.0, "3", None, [3], {"retries": 1}, {"max_retries": "x"}, {"jitter": math.nan}]
NO_POLICIES += [{"factor": math.inf}, {"first_delay": 5}, {"max_delay": timedelta.max}, RetryPolicy]

WRONG: list[tuple[str, Any]] = [
    *((key, value) for key in SECONDS + WAITS_ABOVE_0 + SECONDS_ABOVE_0 for value in NO_SECONDS),
    *((key, 0) for key in WAITS_ABOVE_0 + SECONDS_ABOVE_0),
    *((key, value) for key in WHOLE_NUMBERS + WHOLE_NUMBERS_OR_NONE for value in NO_WHOLE_NUMBERS),
    *((key, None) for key in WHOLE_NUMBERS),
    *(("LOG_LINES", value) for value in [*(one for one in NO_WHOLE_NUMBERS if one != 0), 10_001]),
    *(("NICENESS", value) for value in [*(one for one in NO_WHOLE_NUMBERS if one != 0), 20]),
    *(("LOG_LIMIT", value) for value in [1, 8191, 1_048_577]),
    *(("LOG_LEVEL", value) for value in ["info", "TRACE", "", 20, None, True, ["INFO"]]),
    *((key, value) for key in LENGTHS for value in NO_LENGTHS),
    *(("CPU_AFFINITY", value) for value in [0, 1, "yes", None]),
    *(("RETRY", value) for value in NO_POLICIES),
    *(("PROCESSOR_RETRY", {"email.notification": value}) for value in NO_POLICIES),
    *(("PROCESSOR_RETRY", value) for value in [None, 5, ["email.notification"], "email.notification"]),
    *(("ALLOWED_FUNCTIONS", value) for value in ["shop.tasks.send", None, 5, {"shop.tasks.send": 1}]),
    *(("DATABASES", value) for value in ["default", None, 5, [5], [None], [["default"]], {"default": 1}]),
]


@pytest.mark.parametrize(("key", "value"), WRONG, ids=lambda value: repr(value)[:30])
def test_a_value_that_cannot_be_used_is_refused_with_its_key_and_what_is_allowed(
    settings: LazySettings, key: str, value: Any
) -> None:
    settings.JOBQUEUE = {key: value}

    with pytest.raises(ImproperlyConfigured, match=rf"^JOBQUEUE {key} .*(must be|which RetryPolicy does)"):
        get_settings()


@pytest.mark.parametrize("value", [1e-9, 5e-324, timedelta(microseconds=1)])
@pytest.mark.parametrize("key", [*WAITS_ABOVE_0, *SECONDS_ABOVE_0, "RECONCILE_INTERVAL"])
def test_an_interval_or_time_out_that_is_next_to_nothing_is_refused_with_the_smallest(
    settings: LazySettings, key: str, value: Any
) -> None:
    settings.JOBQUEUE = {key: value}

    with pytest.raises(
        ImproperlyConfigured, match=rf"^JOBQUEUE {key} must be (0, or )?0\.0?0?1 seconds or more"
    ):
        get_settings()


@pytest.mark.parametrize("key", SECONDS_ABOVE_0[1:])
def test_one_that_is_without_an_end_is_refused_with_the_largest(settings: LazySettings, key: str) -> None:
    settings.JOBQUEUE = {key: timedelta(days=5)}

    with pytest.raises(
        ImproperlyConfigured, match=rf"^JOBQUEUE {key} must be .* at most (60|600|86400|259200),"
    ):
        get_settings()


def test_every_wrong_key_is_named_at_once(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"THREADS": 0, "PROCESSES": "two", "treads": 5}

    with pytest.raises(ImproperlyConfigured, match="THREADS.*PROCESSES.*'treads'. Did you mean 'THREADS'"):
        get_settings()


@pytest.mark.parametrize("value", [None, [], 5, "TIMEOUT", [("TIMEOUT", 5)]])
def test_settings_that_are_no_dict_are_refused(settings: LazySettings, value: Any) -> None:
    settings.JOBQUEUE = value

    with pytest.raises(ImproperlyConfigured, match="JOBQUEUE must be a dict, not"):
        get_settings()


@pytest.mark.parametrize("key", [5, None, ("TIMEOUT",)])
def test_a_key_that_is_no_text_is_refused(settings: LazySettings, key: Any) -> None:
    settings.JOBQUEUE = {key: 5}

    with pytest.raises(ImproperlyConfigured, match="JOBQUEUE has no setting"):
        get_settings()


def test_every_setting_is_checked() -> None:
    assert set(conf._checks()) == {setting.name for setting in fields(Settings)}


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda setting: setting.name)
def test_every_default_is_allowed(settings: LazySettings, setting: Any) -> None:
    default = getattr(Settings(), setting.name)
    settings.JOBQUEUE = {setting.name.upper(): default}

    assert getattr(get_settings(), setting.name) == default


@given(st.one_of(st.floats(), st.integers(), st.text(), st.timedeltas(), st.none(), st.lists(st.integers())))
def test_a_setting_is_refused_with_the_error_that_names_it_or_usable(value: Any) -> None:
    for key in SECONDS + WAITS_ABOVE_0 + SECONDS_ABOVE_0:
        try:
            seconds = getattr(conf._parse({key: value}), key.lower())
        except ImproperlyConfigured as error:
            assert str(error).startswith("JOBQUEUE ")  # noqa: PT017 - both ends are right
        else:
            assert 0 <= seconds < math.inf


def test_a_number_of_retries_is_a_policy(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"RETRY": 5, "PROCESSOR_RETRY": {"a": 0}}

    assert get_settings().retry == RetryPolicy(5)
    assert get_settings().processor_retry == {"a": RetryPolicy(0)}


def test_seconds_may_be_written_as_a_timedelta(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"TIMEOUT": timedelta(minutes=3)}

    assert get_settings().timeout == 180


def test_an_alias_that_is_named_twice_counts_once(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"DATABASES": ["default", "default"]}

    assert get_settings().databases == ("default",)
