"""A web process has read its code before it serves, and no collection of garbage looks through it again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.servers import ROOT

_TOLD = """
import gc, sys, {module}
print(gc.get_freeze_count() > 10_000, "jobqueue.admin.overview" in sys.modules)
"""


@pytest.mark.parametrize("module", ["spendsync_site.wsgi", "spendsync_site.asgi"])
def test_a_web_process_keeps_what_it_read_out_of_the_way(module: str) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    told = subprocess.run(
        [sys.executable, "-c", _TOLD.format(module=module)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["True", "True"]
