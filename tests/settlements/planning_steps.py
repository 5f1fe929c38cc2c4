"""Plans of reminders."""

from __future__ import annotations

from datetime import timedelta

WHOLE_PLAN = {
    ("initial", 0),
    ("follow_up", 1),
    ("follow_up", 2),
    ("final", 0),
    ("overdue", 1),
    ("overdue", 2),
}


DAY = timedelta(days=1)
