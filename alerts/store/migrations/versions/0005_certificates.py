"""The certificates that boxes were given, so that they can be revoked."""

import sqlalchemy as sa
from alembic import op

UTC = sa.DateTime(timezone=True)
revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; what was issued before is not known, and so cannot be revoked one by one."""
    op.create_table(
        "certificates",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("edge", sa.String(length=64), nullable=False),
        sa.Column("issued_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("revoked_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["edge"], ["edges.id"], name=op.f("fk_certificates_edge_edges")),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_certificates")),
    )
    op.create_index(op.f("ix_certificates_edge"), "certificates", ["edge"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("certificates")
