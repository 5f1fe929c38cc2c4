"""Arithmetic on samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median, quantiles

__all__ = ["median", "middle_spread", "percentile", "ratio", "spread"]


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that `percent` of the samples do not exceed (nearest rank)."""
    if not samples:
        raise ValueError("there is no percentile of nothing")
    rank = max(1, math.ceil(len(samples) * percent / 100))
    return sorted(samples)[rank - 1]


def ratio(value: float, base: float) -> float:
    """How many times `base` is `value`; not a number where there is no base."""
    return value / base if base else math.nan


def spread(samples: Sequence[float]) -> float:
    """How far the samples lie apart, relative to their median."""
    middle = median(samples)
    return (max(samples) - min(samples)) / abs(middle) if middle else 0.0


def middle_spread(samples: Sequence[float]) -> float:
    """What the middle half of the samples differs by, as a part of their median; 0 of fewer than two."""
    if len(samples) < 2:
        return 0.0
    first, _second, third = quantiles(samples, n=4, method="inclusive")
    return (third - first) / median(samples)
