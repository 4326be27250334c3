"""Who reported an alert, where a person did."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; so far boxes alone have raised alerts."""
    op.add_column("alerts", sa.Column("reporter", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("alerts", "reporter")
