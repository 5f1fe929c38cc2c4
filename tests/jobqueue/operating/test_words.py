"""Times and texts as the pages show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import translation

from jobqueue.masking import mask_addresses
from jobqueue.operating.words import exact_span, grouped, relative, rough_span, span

NOW = datetime(2026, 5, 17, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (4, "4 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_800, "2 d"),
        (63_220 * 86_400, "63,220 d"),
    ],
)
def test_a_length_of_time_has_its_largest_sensible_unit(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


def test_a_short_length_has_a_tenth() -> None:
    assert exact_span(timedelta(seconds=1.23)) == "1.2 s"


def test_a_length_below_a_second_is_told_in_milliseconds() -> None:
    assert exact_span(timedelta(milliseconds=20)) == "20 ms"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0042, "4.2 ms"),
        (0.9996, "1,000 ms"),
        (1.5, "1.5 s"),
        (750, "12.5 min"),
        (86_400 * 1_234, "1,234 d"),
    ],
)
def test_a_length_of_the_charts_has_three_figures(seconds: float | None, text: str) -> None:
    assert rough_span(seconds) == text


def test_numbers_and_lengths_are_written_as_the_language_of_the_page_does() -> None:
    with translation.override("de"):
        assert (grouped(18_240), rough_span(1.5), rough_span(0.9996), exact_span(timedelta(seconds=1.5))) == (
            *("18.240", "1,5 s", "1.000 ms", "1,5 s"),
        )


@pytest.mark.parametrize(
    ("seconds", "text"), [(10_800, "in 3 h"), (-150, "2 min ago"), (0.4, "now"), (-0.9, "now")]
)
def test_a_moment_is_told_from_now(seconds: float, text: str) -> None:
    assert relative(NOW + timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(
    "text",
    [
        "550 <anna@example.com> unknown",
        "{'anna@example.com': 550}",
        "to:anna@example.com",
        "ANNA@EXAMPLE.COM",
    ],
)
def test_addresses_are_masked_wherever_they_stand(text: str) -> None:
    assert "example" not in mask_addresses(text).lower()
