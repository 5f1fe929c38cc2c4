"""Tests that share what takes long to make run in one process: `xdist_group` is heard."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.xdist_group("groups")


def test_whoever_hands_out_the_tests_knows_their_group(request: pytest.FixtureRequest) -> None:
    is_handed_out = "PYTEST_XDIST_WORKER" in os.environ
    assert request.node.nodeid.endswith("@groups") is is_handed_out
