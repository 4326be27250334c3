"""When cameras and boxes changed their state, for coverage by hour; it begins with how they are now."""

import sqlalchemy as sa
from alembic import op

from alerts.store.base import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

CAMERAS = (
    "INSERT INTO camera_state_changes (edge, camera, at, state) "
    "SELECT edge, camera, state_since, state FROM cameras"
)
BOXES_AWAY = (
    "INSERT INTO camera_state_changes (edge, camera, at, state) "
    "SELECT id, '', coalesce(silent_since, status_received_at, first_seen_at), 'offline' FROM edges "
    "WHERE NOT online OR silent_alert_id IS NOT NULL"
)


def upgrade() -> None:
    """Add the table, and the states of today."""
    op.create_table(
        "camera_state_changes",
        sa.Column("edge", sa.String(64), nullable=False),
        sa.Column("camera", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["edge"], ["edges.id"], name=op.f("fk_camera_state_changes_edge_edges")),
        sa.PrimaryKeyConstraint("edge", "camera", "at", name=op.f("pk_camera_state_changes")),
    )
    op.create_index("ix_camera_state_changes_at", "camera_state_changes", ["at"])
    op.execute(CAMERAS)
    op.execute(BOXES_AWAY)


def downgrade() -> None:
    """Take it away."""
    op.drop_table("camera_state_changes")
