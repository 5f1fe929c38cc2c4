"""Databases and roles of a PostgreSQL server, for projects that need some of their own."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

SERVER = os.environ.get("TEST_DATABASE_URL", "")
ON_POSTGRESQL = SERVER.startswith("postgres")
HOST, PORT = urlsplit(SERVER).hostname or "localhost", urlsplit(SERVER).port or 5432


class PostgreSQLDatabase:
    """A database, and a role that may only read it."""

    def __init__(self, name: str) -> None:
        """Nothing is created yet."""
        self.name = name
        self.reader = f"{name}_reader"
        server = urlsplit(SERVER)
        self._user = unquote(server.username or "postgres")
        self._password = unquote(server.password or "")

    def create(self) -> None:
        """The database, and the role, which will read every table that is created there."""
        self._execute("postgres", f"CREATE DATABASE {self.name}")
        self._execute("postgres", f"CREATE ROLE {self.reader} LOGIN PASSWORD 'a reader''s'")
        self._execute(self.name, f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {self.reader}")

    def drop(self) -> None:
        """Both, whoever is still connected."""
        self._execute(self.name, f"DROP OWNED BY {self.reader}")
        self._execute("postgres", f"DROP DATABASE {self.name} WITH (FORCE)")
        self._execute("postgres", f"DROP ROLE {self.reader}")

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Its entry in DATABASES."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": self.name,
            "USER": self._user,
            "PASSWORD": self._password,
            "HOST": HOST,
            "PORT": PORT,
        } | changes

    def settings_of_a_role_that_reads(self) -> dict[str, Any]:
        """The same for the role that may only read."""
        return self.settings(USER=self.reader, PASSWORD="a reader's")

    def _execute(self, database: str, statement: str) -> None:
        import psycopg

        with psycopg.connect(
            dbname=database,
            user=self._user,
            password=self._password or None,
            host=HOST,
            port=PORT,
            autocommit=True,
        ) as connection:
            connection.execute(statement)  # type: ignore[call-overload]
