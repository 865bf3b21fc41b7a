"""Pool and migrations: SQLite now, PostgreSQL later.

Not built yet: the vault, which comes with the tap, is its first user.
"""
