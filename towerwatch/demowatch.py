"""Looking at central from outside, as any script would: which incidents are there, with which pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import httpx

from towerwatch.secrets import Secret

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one kind has come.

    ``incident_id`` of the newest incident; ``alerts`` and ``pictures`` of it (pictures that central
    has); ``proven`` once a picture was downloaded and had the digest it is known by.
    """

    kind: str
    incident_id: int | None = None
    started_at: str = ""
    alerts: int = 0
    pictures: int = 0
    proven: bool = False

    @property
    def lacks(self) -> str:
        """Say what is missing; empty when nothing is."""
        if self.incident_id is None:
            return "no incident"
        if not self.pictures:
            return f"incident {self.incident_id} has no picture"
        return "" if self.proven else f"no picture of incident {self.incident_id} could be downloaded"


class CentralWatch:
    """Asks central's HTTP API; a context manager that owns its connections."""

    def __init__(
        self, url: str, token: Secret, kinds: Iterable[str], transport: httpx.BaseTransport | None = None
    ) -> None:
        """Keep the address, a viewer's token and the kinds that are waited for."""
        self.progress = {kind: Progress(kind) for kind in kinds}
        self.trouble = ""
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token.reveal()}"},
            timeout=TIMEOUT_S,
            transport=transport,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def done(self) -> bool:
        """Whether every kind is an incident with a picture that was downloaded."""
        return all(not one.lacks for one in self.progress.values())

    def missing(self) -> str:
        """Name what is missing, and why central could not be asked, if so."""
        parts = [f"{kind}: {one.lacks}" for kind, one in self.progress.items() if one.lacks]
        return "; ".join([*parts, self.trouble] if self.trouble else parts)

    def look(self) -> None:
        """Ask once; what fails is noted in ``trouble`` and asked again the next time."""
        self.trouble = ""
        for kind in self.progress:
            try:
                self.progress[kind] = self._look_at(kind)
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                self.trouble = f"central does not answer as expected: {type(error).__name__}: {error}"

    def cameras(self) -> dict[str, str]:
        """Return the state of every camera by its id; empty while central cannot be asked."""
        try:
            return {item["camera"]: str(item["state"]) for item in self._get("/api/v1/cameras")}
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            self.trouble = f"central does not answer as expected: {type(error).__name__}: {error}"
            return {}

    def place(self, edge: str, places: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        """Enter where cameras stand; return those that central does not know yet."""
        later = []
        for camera, place in places.items():
            try:
                answer = self._client.put(f"/api/v1/cameras/{edge}/{camera}/place", json=dict(place))
            except httpx.HTTPError:
                later.append(camera)
                continue
            if answer.is_error:
                later.append(camera)
        return tuple(later)

    def _look_at(self, kind: str) -> Progress:
        before = self.progress[kind]
        items = self._get("/api/v1/incidents", {"kind": kind, "limit": "1"})["items"]
        if not items:
            return before
        incident = self._get(f"/api/v1/incidents/{items[0]['id']}")
        pictures = [
            item
            for alert in incident["alerts"]
            for item in alert["evidence"]
            if item["present"] and str(item["media_type"]).startswith("image/")
        ]
        now = Progress(
            kind,
            int(incident["id"]),
            str(incident["started_at"]),
            len(incident["alerts"]),
            len({item["sha256"] for item in pictures}),
            proven=before.proven,
        )
        if pictures and not now.proven:
            now = replace(now, proven=self._download(pictures[0]))
        return now

    def _download(self, picture: Mapping[str, Any]) -> bool:
        answer = self._client.get(str(picture["url"]))
        answer.raise_for_status()
        return hashlib.sha256(answer.content).hexdigest() == str(picture["sha256"])

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        answer = self._client.get(path, params=query)
        answer.raise_for_status()
        return answer.json()
