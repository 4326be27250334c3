"""Alembic migrations, run by :mod:`alerts.store.migrate`."""
