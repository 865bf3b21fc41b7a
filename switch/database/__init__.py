"""Connections and migrations: SQLite through aiosqlite now, PostgreSQL for several nodes later.

Databases stay off the walk (docs/ARCHITECTURE.md, "What is true where").
"""

from switch.database.migrate import Migration, migrate, read_migrations
from switch.database.pool import Database, Value

__all__ = ["Database", "Migration", "Value", "migrate", "read_migrations"]
