"""Alembic's entry: run the scripts on the connection that :mod:`alerts.store.migrate` hands over."""

from alembic import context

from alerts.store import city, tables  # noqa: F401 - they fill the metadata
from alerts.store.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
