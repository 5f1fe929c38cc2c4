"""Looks for garbage seldom, which takes a sixth of the processor time of tests that render pages.

Python looks through all that it has, half a million objects after the collection of tests, whenever a quarter
was added. What is there before the first test is never looked at again, what tests make every 50,000 objects:
a process grows by less than 30 MB. Loaded with `-p tests.garbage`.
"""

from __future__ import annotations

import gc

OBJECTS = 50_000
"""How many new ones make Python look through them; 700 is what it does by itself."""


def pytest_collection_finish() -> None:
    """All modules are read."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, 20, 20)
