"""Pools of connections that a project has for its requests, in processes that run jobs."""

from __future__ import annotations

from django.db import connections


def leave_pools_in_this_process() -> None:
    """Let each thread of this process open a connection of its own, as without `"pool"` in OPTIONS.

    For workers' processes. Their threads keep their connections, of which a pool has four unless told, and a
    process that is forked inherits a pool without the threads that fill it: either waits for ever.
    """
    for using in connections:
        settings = connections.settings[using]
        if "pool" in settings["OPTIONS"]:
            settings["OPTIONS"] = {key: value for key, value in settings["OPTIONS"].items() if key != "pool"}
