"""What a web process does before it serves: it reads its code, in which no garbage is looked for any more."""

from __future__ import annotations

import gc

from django.urls import get_resolver


def warm_up() -> None:
    """Read what the addresses lead to, and let no collection of garbage look through it again.

    What is read stays to the end. To look through it took 0.1 s, about every twentieth request: the overview
    took 180 and 184 ms (95 of 100 looks) without and 137 and 140 with this.
    """
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()
