"""One incident as a folder to hand on: what is known of it, and its evidence, blurred outside the case."""

from __future__ import annotations

import hashlib
from pathlib import Path

from alerts.blur import NoPicture, blur_outside
from alerts.evidence import BlobStore
from alerts.export import EXTENSIONS
from alerts.messages import EvidenceRole
from alerts.services.incidents import IncidentService
from alerts.services.views import AlertView, BoxView, EvidenceView
from alerts.store import audit
from alerts.store.database import Database

JPEG, CLIP = "image/jpeg", "video/mp4"


def export_case(
    database: Database, store: BlobStore, incident_id: int, out: Path, *, blurred: bool, by: str
) -> tuple[int, int]:
    """Write ``incident.json`` and the evidence of an incident; return how many files went out and stayed.

    With ``blurred`` everything outside the boxes of the case is unrecognisable: pictures are made anew, those
    without boxes are blurred whole, close-ups are of the case alone and stay as they are, clips are left out.
    The audit notes who took which files, before any is written.

    Raises:
        NotFound: there is no such incident.
        OSError: the folder cannot be written.

    """
    view = IncidentService(database).get_incident(incident_id)
    wanted = {item.sha256: (item, alert) for alert in view.alerts for item in alert.evidence if item.present}
    with database.write() as session:
        detail = {"blurred": blurred, "evidence": sorted(wanted)}
        audit.record(session, by, "export", f"incident {incident_id}", detail)
    out.mkdir(parents=True, exist_ok=True)
    (out / "incident.json").write_text(view.model_dump_json(indent=2) + "\n", encoding="utf-8")
    written = [_write(store, item, alert, out, blurred=blurred) for item, alert in wanted.values()]
    return written.count(True), written.count(False)


def _write(store: BlobStore, item: EvidenceView, alert: AlertView, out: Path, *, blurred: bool) -> bool:
    """Write one file; False where it is not here, or cannot be blurred."""
    if not store.has(item.sha256) or (blurred and item.media_type == CLIP):
        return False
    data = store.path(item.sha256).read_bytes()
    media_type = item.media_type
    if blurred and item.role is not EvidenceRole.CLOSE_UP:
        try:
            data, media_type = blur_outside(data, _boxes(item, alert)), JPEG
        except NoPicture:
            return False
    name = hashlib.sha256(data).hexdigest()[:16]
    (out / f"{alert.id[:8]}-{item.role}-{name}{EXTENSIONS[media_type]}").write_bytes(data)
    return True


def _boxes(item: EvidenceView, alert: AlertView) -> tuple[BoxView, ...]:
    """Return the boxes of the message that a picture came with."""
    return next((phase.boxes for phase in alert.phases if phase.phase_seq == item.phase_seq), ())
