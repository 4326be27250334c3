"""Indexes by which the queue, the map, the outbox and retention find their rows among all others."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them; that of deliveries replaces one that the senders' query did not use."""
    op.create_index("ix_incidents_open_id", "incidents", ["open", "id"])
    op.create_index("ix_incidents_place", "incidents", ["lat_deg", "lon_deg"])
    op.create_index("ix_incidents_state_at", "incidents", ["state_at"])
    kept = ["deleted_at", "received_at", "sha256", "bytes"]
    op.create_index("ix_evidence_blobs_kept", "evidence_blobs", kept)
    op.drop_index("ix_deliveries_due", "deliveries")
    op.create_index("ix_deliveries_due", "deliveries", ["target", "state", "id"])


def downgrade() -> None:
    """Put the old ones back."""
    op.drop_index("ix_deliveries_due", "deliveries")
    op.create_index("ix_deliveries_due", "deliveries", ["state", "next_try_at"])
    op.drop_index("ix_evidence_blobs_kept", "evidence_blobs")
    op.drop_index("ix_incidents_state_at", "incidents")
    op.drop_index("ix_incidents_place", "incidents")
    op.drop_index("ix_incidents_open_id", "incidents")
