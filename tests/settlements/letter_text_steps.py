"""The words of letters."""

from __future__ import annotations

import pytest

from tests.settlements.letters import (
    REMINDERS,
)

ROLES = ("payer", "payee", None)


every_reminder = pytest.mark.parametrize("template_type", REMINDERS)


every_role = pytest.mark.parametrize("role", ROLES)
