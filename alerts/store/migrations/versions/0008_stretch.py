"""By how much boxes stretch the intervals of their cameras, and what comes of it at each."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; they fill with the next health."""
    op.add_column("edges", sa.Column("stretch", sa.Double()))
    op.add_column("cameras", sa.Column("gap_p95_s", sa.Double()))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("cameras", "gap_p95_s")
    op.drop_column("edges", "stretch")
