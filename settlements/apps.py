"""Wires the settlements domain when Django starts."""

from django.apps import AppConfig


class SettlementsConfig(AppConfig):
    """Settlements, payments, reminders and e-mails."""

    name = "settlements"
    verbose_name = "Settlements"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the rules that turn saves into jobs, and what mail providers report."""
        from settlements import mail_events, signals

        signals.connect()
        mail_events.connect()
