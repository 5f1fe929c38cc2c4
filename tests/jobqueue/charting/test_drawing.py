"""What stands on the axes of a chart, and where."""

from __future__ import annotations

import re

import pytest

from jobqueue.charting.drawing import HEIGHT, Bar, bars


def _values(most: int, kind: str) -> dict[str, float]:
    drawn = str(bars([Bar([("completed", most)], "")], [], shown=str))
    found = re.findall(rf'<text class="jq-chart-{kind}" x="[\d.]+" y="([\d.]+)"[^>]*>(\d+)</text>', drawn)
    return {text: float(y) for y, text in found}


@pytest.mark.parametrize("most", [1, 2, 4, 9, 19, 45, 480])
def test_each_value_stands_at_its_own_height(most: int) -> None:
    places = _values(most, "value")
    ground, top = places["0"], max(places, key=int)
    height = ground - places[top]
    for text, y in places.items():
        assert (ground - y) / height == pytest.approx(int(text) / int(top), abs=0.01)


def test_the_values_stand_at_the_right_once_more_for_a_phone() -> None:
    left, right = _values(9, "value"), _values(9, "again")
    assert left.keys() == right.keys()
    assert all(0 < right[text] < left[text] < HEIGHT for text in left)
