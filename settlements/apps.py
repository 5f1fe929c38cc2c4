"""Wires the settlements domain when Django starts."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SettlementsConfig(AppConfig):
    """Settlements, payments, reminders and e-mails."""

    name = "settlements"
    verbose_name = _("Settlements")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks; connect the rules that turn saves into jobs; hear what providers report;
        let searches find people and records.
        """
        from settlements import addresses, checks, searching, signals

        assert checks  # importing it registers the checks
        signals.connect()
        addresses.connect()
        searching.register()
