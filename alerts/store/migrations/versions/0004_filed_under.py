"""The flow of the catalogue that an incident is filed under, and an index for whoever follows changes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what was filed before keeps no flow."""
    with op.batch_alter_table("incidents") as batch:
        batch.add_column(sa.Column("catalogue", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("flow", sa.String(length=6), nullable=True))
        batch.create_index("ix_incidents_updated_at_id", ["updated_at", "id"])


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("incidents") as batch:
        batch.drop_index("ix_incidents_updated_at_id")
        batch.drop_column("flow")
        batch.drop_column("catalogue")
