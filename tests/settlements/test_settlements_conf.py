"""The SETTLEMENTS dict: defaults, what each key takes, and what is refused."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings as DjangoSettings

from settlements.conf import PaymentCheckPolicy, ReminderPolicy, Settings, get_settings


def _with(settings: DjangoSettings, **values: Any) -> Settings:
    settings.SETTLEMENTS = values
    return get_settings()


def _refusal(settings: DjangoSettings, **values: Any) -> str:
    with pytest.raises(ImproperlyConfigured) as refused:
        _with(settings, **values)
    return str(refused.value)


def test_the_defaults_are_those_documented(settings: DjangoSettings) -> None:
    settings.TIME_ZONE = "UTC"
    configured = _with(settings)
    assert configured.reminders == ReminderPolicy(
        follow_up_after=tuple(timedelta(days=days) for days in (3, 7, 14, 21)),
        overdue_after=tuple(timedelta(days=days) for days in (1, 3, 7, 14, 30)),
        quiet_hours=None,
        time_zone=ZoneInfo("UTC"),
        minimum_gap=timedelta(0),
        lapsed_after=timedelta(hours=1),
    )
    assert configured.payment_check == PaymentCheckPolicy(timedelta(minutes=1), 2.0, timedelta(hours=6))
    assert configured.notification_delay == timedelta(seconds=2)
    assert configured.gateway == "settlements.gateways.DatabaseGateway"
    assert configured.gateway_options == {}


def test_no_setting_at_all_gives_the_defaults(settings: DjangoSettings) -> None:
    del settings.SETTLEMENTS
    assert get_settings().notification_delay == timedelta(seconds=2)


def test_the_zone_is_the_sites_unless_named(settings: DjangoSettings) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    assert _with(settings, REMINDERS={"MINIMUM_GAP": 0}).reminders.time_zone == ZoneInfo("Asia/Tokyo")


def test_a_named_zone_wins_over_the_sites(settings: DjangoSettings) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    configured = _with(settings, REMINDERS={"TIME_ZONE": "Europe/Berlin"})
    assert configured.reminders.time_zone == ZoneInfo("Europe/Berlin")


def test_a_change_of_the_sites_zone_is_followed(settings: DjangoSettings) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    _with(settings)
    settings.TIME_ZONE = "Europe/Berlin"
    assert get_settings().reminders.time_zone == ZoneInfo("Europe/Berlin")


def test_changed_settings_are_read_again(settings: DjangoSettings) -> None:
    _with(settings, NOTIFICATION_DELAY=5)
    assert _with(settings, NOTIFICATION_DELAY=7).notification_delay == timedelta(seconds=7)


def test_settings_are_read_once(settings: DjangoSettings) -> None:
    assert _with(settings) is get_settings()


@pytest.mark.parametrize("given", [90, 90.0, timedelta(seconds=90)])
def test_a_duration_is_seconds_or_a_timedelta(settings: DjangoSettings, given: object) -> None:
    configured = _with(
        settings,
        REMINDERS={
            "FOLLOW_UP_AFTER": [given],
            "OVERDUE_AFTER": (given,),
            "MINIMUM_GAP": given,
            "LAPSED_AFTER": given,
        },
        PAYMENT_CHECK={"FIRST_DELAY": given, "MAX_DELAY": given},
        NOTIFICATION_DELAY=given,
    )
    expected = timedelta(seconds=90)
    assert configured.reminders.follow_up_after == configured.reminders.overdue_after == (expected,)
    assert configured.reminders.minimum_gap == configured.reminders.lapsed_after == expected
    assert configured.payment_check.first_delay == configured.payment_check.max_delay == expected
    assert configured.notification_delay == expected


@pytest.mark.parametrize(
    "given",
    [("22:30", "07:15"), [" 22:30 ", "07:15:00"], (time(22, 30), time(7, 15)), ("22:30", time(7, 15))],
)
def test_quiet_hours_are_two_times_or_texts(settings: DjangoSettings, given: object) -> None:
    configured = _with(settings, REMINDERS={"QUIET_HOURS": given})
    assert configured.reminders.quiet_hours == (time(22, 30), time(7, 15))


def test_quiet_hours_can_be_off(settings: DjangoSettings) -> None:
    assert _with(settings, REMINDERS={"QUIET_HOURS": None}).reminders.quiet_hours is None


def test_a_stage_can_be_without_steps(settings: DjangoSettings) -> None:
    configured = _with(settings, REMINDERS={"FOLLOW_UP_AFTER": [], "OVERDUE_AFTER": []})
    assert configured.reminders.follow_up_after == configured.reminders.overdue_after == ()


def test_a_mistyped_key_gets_a_hint(settings: DjangoSettings) -> None:
    assert _refusal(settings, NOTIFICATON_DELAY=1) == (
        "SETTLEMENTS has no setting 'NOTIFICATON_DELAY'. Did you mean 'NOTIFICATION_DELAY'?"
    )


def test_a_mistyped_inner_key_gets_a_hint(settings: DjangoSettings) -> None:
    assert _refusal(settings, REMINDERS={"quiet_hours": None}) == (
        "SETTLEMENTS REMINDERS has no setting 'quiet_hours'. Did you mean 'QUIET_HOURS'?"
    )


def test_a_key_like_no_other_gets_the_list(settings: DjangoSettings) -> None:
    assert _refusal(settings, PAYMENT_CHECK={"XYZ": 1}) == (
        "SETTLEMENTS PAYMENT_CHECK has no setting 'XYZ'. Known are: FACTOR, FIRST_DELAY, MAX_DELAY."
    )


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"REMINDERS": []}, "SETTLEMENTS REMINDERS must be a dict, not a list."),
        (
            {"REMINDERS": {"MINIMUM_GAP": "5"}},
            "MINIMUM_GAP must be a timedelta or a finite number of seconds",
        ),
        (
            {"REMINDERS": {"MINIMUM_GAP": True}},
            "MINIMUM_GAP must be a timedelta or a finite number of seconds",
        ),
        ({"REMINDERS": {"MINIMUM_GAP": float("nan")}}, "MINIMUM_GAP must be a timedelta or a finite number"),
        ({"REMINDERS": {"MINIMUM_GAP": 1e300}}, "MINIMUM_GAP is more seconds than a timedelta can hold"),
        ({"REMINDERS": {"MINIMUM_GAP": -1}}, "minimum_gap must not be negative"),
        ({"REMINDERS": {"LAPSED_AFTER": -1}}, "lapsed_after must not be negative"),
        ({"REMINDERS": {"FOLLOW_UP_AFTER": 5}}, "FOLLOW_UP_AFTER must be a list of durations, not 5"),
        ({"REMINDERS": {"FOLLOW_UP_AFTER": [0]}}, "follow_up_after must be durations longer than zero"),
        ({"REMINDERS": {"OVERDUE_AFTER": [9, 5]}}, "overdue_after must ascend"),
        ({"REMINDERS": {"OVERDUE_AFTER": [5, 5]}}, "overdue_after must ascend"),
        ({"REMINDERS": {"QUIET_HOURS": "21:00"}}, "QUIET_HOURS must be a start and an end"),
        ({"REMINDERS": {"QUIET_HOURS": ["21:00"]}}, "QUIET_HOURS must be a start and an end"),
        ({"REMINDERS": {"QUIET_HOURS": ["21:00", "8 am"]}}, "no time such as \"21:00\": '8 am'"),
        ({"REMINDERS": {"QUIET_HOURS": [21, 8]}}, 'no time such as "21:00": 21'),
        ({"REMINDERS": {"QUIET_HOURS": ["21:00", "21:00"]}}, "must start and end at different times"),
        ({"REMINDERS": {"QUIET_HOURS": ["21:00+02:00", "08:00"]}}, "must be times without a zone"),
        ({"REMINDERS": {"TIME_ZONE": "Europe/Atlantis"}}, "must be an IANA name such as"),
        ({"REMINDERS": {"TIME_ZONE": "../etc/passwd"}}, "must be an IANA name such as"),
        ({"REMINDERS": {"TIME_ZONE": ""}}, "must be an IANA name such as"),
        ({"REMINDERS": {"TIME_ZONE": 1}}, "must be an IANA name such as"),
        ({"PAYMENT_CHECK": {"FIRST_DELAY": 0}}, "first_delay must be longer than zero"),
        ({"PAYMENT_CHECK": {"FIRST_DELAY": 1e-6}}, "first_delay must be 0.1 seconds or more"),
        ({"PAYMENT_CHECK": {"FACTOR": 0.5}}, "factor must be 1 or more, not 0.5"),
        ({"PAYMENT_CHECK": {"FACTOR": "2"}}, "FACTOR must be a finite number, not '2'"),
        ({"PAYMENT_CHECK": {"FACTOR": float("inf")}}, "FACTOR must be a finite number"),
        ({"PAYMENT_CHECK": {"MAX_DELAY": 1}}, "max_delay must be at least first_delay"),
        ({"NOTIFICATION_DELAY": -1}, "NOTIFICATION_DELAY must not be negative, not -1"),
        ({"GATEWAY": "HttpGateway"}, "GATEWAY must be the dotted path of a class, not 'HttpGateway'"),
        ({"GATEWAY": None}, "GATEWAY must be the dotted path of a class, not None"),
        ({"GATEWAY_OPTIONS": []}, "GATEWAY_OPTIONS must be a dict with text keys, not a list"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(
    settings: DjangoSettings, values: dict[str, Any], complaint: str
) -> None:
    assert complaint in _refusal(settings, **values)


def test_the_settings_do_not_show_the_gateways_options(settings: DjangoSettings) -> None:
    assert "sk_secret" not in repr(_with(settings, GATEWAY_OPTIONS={"token": "sk_secret"}))


def test_a_refusal_of_the_gateways_options_does_not_show_them(settings: DjangoSettings) -> None:
    assert "sk_secret" not in _refusal(settings, GATEWAY_OPTIONS=["sk_secret"])


def test_payment_checks_come_at_growing_distances() -> None:
    policy = PaymentCheckPolicy(timedelta(minutes=1), 2.0, timedelta(minutes=7))
    assert [policy.next_delay(done) for done in range(5)] == [
        timedelta(minutes=minutes) for minutes in (1, 2, 4, 7, 7)
    ]


def test_payment_checks_go_on_for_ever() -> None:
    assert PaymentCheckPolicy().next_delay(1_000_000) == timedelta(hours=6)


def test_payment_checks_can_keep_one_distance() -> None:
    policy = PaymentCheckPolicy(timedelta(seconds=5), 1.0)
    assert policy.next_delay(0) == policy.next_delay(10**9) == timedelta(seconds=5)


def test_mail_is_tried_again_for_a_day(settings: DjangoSettings) -> None:
    assert _with(settings).email_retry_for == timedelta(hours=24)


def test_djangos_own_setting_says_how_long_mail_is_tried_again(settings: DjangoSettings) -> None:
    settings.EMAIL_RETRY_FOR = 90
    assert _with(settings).email_retry_for == timedelta(seconds=90)
    settings.EMAIL_RETRY_FOR = 0
    assert get_settings().email_retry_for == timedelta(0)


def test_the_setting_of_the_domain_wins_over_djangos(settings: DjangoSettings) -> None:
    settings.EMAIL_RETRY_FOR = 90
    assert _with(settings, EMAIL_RETRY_FOR=5).email_retry_for == timedelta(seconds=5)


@pytest.mark.parametrize("value", [-1, "a day", True, None])
def test_a_time_to_try_mail_again_that_is_none_is_refused(settings: DjangoSettings, value: Any) -> None:
    settings.EMAIL_RETRY_FOR = value
    with pytest.raises(ImproperlyConfigured, match="The setting EMAIL_RETRY_FOR"):
        _with(settings)
