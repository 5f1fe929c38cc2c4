"""What was answered to a request about money or letters that must not be done twice."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from jobqueue.models import AnyKeptAnswer


class KeptAnswer(AnyKeptAnswer):
    """Of payments, refunds and reminders."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user")
    )
