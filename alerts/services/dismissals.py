"""What a dismissal teaches: the boxes whose cameras took something for smoke are told where, and why."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts import commands
from alerts.messages import Kind
from alerts.store.tables import Alert, Edge

LOOKS_LIKE_SMOKE = frozenset({"fog_cloud", "dust", "known_source", "light_shadow"})  # and will do so again


def tell_boxes(session: Session, incident_id: int, reason: str | None) -> None:
    """Order it within the caller's transaction, once for each place that a camera has alerted of."""
    if reason not in LOOKS_LIKE_SMOKE:
        return
    alerts = session.scalars(
        select(Alert)
        .join(Edge, Edge.id == Alert.edge)  # a box that was never heard of cannot be told
        .where(Alert.incident_id == incident_id, Alert.kind == Kind.SMOKE, Alert.reporter.is_(None))
        .order_by(Alert.id)
    )
    for alert in alerts:
        for box in alert.boxes:
            arguments = {
                "camera": alert.camera,
                "preset": alert.preset,
                "kind": alert.kind,
                "box": [box[side] for side in ("x1", "y1", "x2", "y2")],
                "reason": reason,
            }
            commands.order(session, alert.edge, "dismissed", arguments)
