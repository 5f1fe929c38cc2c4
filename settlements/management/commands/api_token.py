"""`manage.py api_token <username>`: make a token for the API, shown once; or revoke all of a user's."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from knox.models import get_token_model
from knox.settings import knox_settings

_MOST_DAYS = 3_650


class Command(BaseCommand):
    """Tokens are kept as hashes: whoever loses one makes another."""

    help = "Make a token for the API with the permissions of a user of the staff. It is shown once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, and for how long."""
        parser.add_argument("username")
        parser.add_argument(
            "--days", type=float, help="How long it is valid; without it as REST_KNOX TOKEN_TTL says."
        )
        parser.add_argument("--revoke", action="store_true", help="Revoke all tokens of the user instead.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the token alone, so that a script can read it."""
        user = self._user(options["username"])
        if options["revoke"]:
            number, _by_model = get_token_model().objects.filter(user=user).delete()
            self.stdout.write(f"Revoked {number} token{'' if number == 1 else 's'}.")
            return
        days = options["days"]
        if days is not None and not 0 < days <= _MOST_DAYS:
            raise CommandError(f"--days must be above 0 and at most {_MOST_DAYS}, not {days}.")
        valid_for = knox_settings.TOKEN_TTL if days is None else timedelta(days=days)
        row, token = get_token_model().objects.create(user, expiry=valid_for)
        until = f"until {row.expiry:%Y-%m-%d %H:%M:%S %Z}" if row.expiry else "for ever"
        self.stderr.write(f"A token for {user.get_username()}, valid {until}. It is not shown again:")
        self.stdout.write(token)

    def _user(self, username: str) -> Any:
        users = get_user_model()
        user: Any = users._default_manager.filter(**{users.USERNAME_FIELD: username}).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        if not (user.is_active and user.is_staff):
            raise CommandError(
                f"{username} is not an active user of the staff: the API would refuse the token."
            )
        return user
