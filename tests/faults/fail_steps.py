"""Stories in which a process ends at a step."""

from __future__ import annotations

# Everything that a worker waits for is short, so that a case takes a few seconds.
QUICK = {"HEARTBEAT_INTERVAL": 0.5, "WORKER_SILENCE": 2, "LOST_AFTER": 2}
