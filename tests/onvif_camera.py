"""A camera's ONVIF services as far as a patrol needs them: SOAP 1.2 over HTTP, messages by the WSDL."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:tds="http://www.onvif.org/ver10/device/wsdl"'
    ' xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:tptz="http://www.onvif.org/ver20/ptz/wsdl">'
    "<s:Body>{}</s:Body></s:Envelope>"
)
_FAULT = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code>"
    '<s:Reason><s:Text xml:lang="en">{}</s:Text></s:Reason></s:Fault>'
)
_NOW = (
    "<tt:Time><tt:Hour>12</tt:Hour><tt:Minute>0</tt:Minute><tt:Second>0</tt:Second></tt:Time>"
    "<tt:Date><tt:Year>2026</tt:Year><tt:Month>11</tt:Month><tt:Day>24</tt:Day></tt:Date>"
)


def _place(tag: str, at: tuple[float, float, float]) -> str:
    pan, tilt, zoom = at
    return f'<{tag}><tt:PanTilt x="{pan}" y="{tilt}"/><tt:Zoom x="{zoom}"/></{tag}>'


@dataclass
class OnvifCamera:
    """A head with presets; set ``at``, ``moving`` and ``refusing`` as the story goes.

    ``tour``: the state of its preset tour, None for a camera that knows none.
    """

    presets: dict[str, tuple[float, float, float]]
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    moving: bool = False
    refusing: bool = False
    tour: str | None = "Touring"
    asked: list[str] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}/onvif/device_service"

    def __enter__(self) -> Self:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, answer = camera.answer(body)
                data = _ENVELOPE.format(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, body: str) -> tuple[int, str]:
        match = re.search(r"<(?:[\w-]+:)?Body[^>]*>\s*<(?:[\w-]+:)?(\w+)", body)
        name = match[1] if match else ""
        self.asked.append(name)
        if self.refusing:
            return 400, _FAULT.format("not authorised")
        base = self.url.rsplit("/", 1)[0]
        services = "".join(
            f"<tds:Service><tds:Namespace>http://www.onvif.org/{space}/wsdl</tds:Namespace>"
            f"<tds:XAddr>{base}/{path}</tds:XAddr>"
            "<tds:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor></tds:Version></tds:Service>"
            for space, path in (
                ("ver10/device", "device_service"),
                ("ver10/media", "media"),
                ("ver20/ptz", "ptz"),
            )
        )
        presets = "".join(
            f'<tptz:Preset token="{number}"><tt:Name>{name}</tt:Name>'
            f"{_place('tt:PTZPosition', at)}</tptz:Preset>"
            for number, (name, at) in enumerate(self.presets.items(), 1)
        )
        state = "MOVING" if self.moving else "IDLE"
        operation = re.search(r"Operation>(\w+)<", body)
        if operation and "PresetTourToken>round<" in body and self.tour is not None:
            self.tour = {"Pause": "Paused", "Start": "Touring"}[operation[1]]
        answers = {
            "GetSystemDateAndTime": "<tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
            f"<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>{_NOW}</tt:UTCDateTime>"
            "</tds:SystemDateAndTime>",
            "GetServices": services,
            "GetCapabilities": f"<tds:Capabilities><tt:Media><tt:XAddr>{base}/media</tt:XAddr></tt:Media>"
            f"<tt:PTZ><tt:XAddr>{base}/ptz</tt:XAddr></tt:PTZ></tds:Capabilities>",
            "GetProfiles": '<trt:Profiles token="main" fixed="true"><tt:Name>main</tt:Name></trt:Profiles>',
            "GetPresets": presets,
            "GetStatus": f"<tptz:PTZStatus>{_place('tt:Position', self.at)}<tt:MoveStatus>"
            f"<tt:PanTilt>{state}</tt:PanTilt><tt:Zoom>IDLE</tt:Zoom></tt:MoveStatus>"
            "<tt:UtcTime>2026-11-24T12:00:00Z</tt:UtcTime></tptz:PTZStatus>",
        }
        if self.tour is not None:
            answers["OperatePresetTour"] = ""
            answers["GetPresetTours"] = (
                '<tptz:PresetTour token="round"><tt:Name>round</tt:Name><tt:Status>'
                f"<tt:State>{self.tour}</tt:State></tt:Status><tt:AutoStart>true</tt:AutoStart>"
                "<tt:StartingCondition/></tptz:PresetTour>"
            )
        prefix = (
            "tptz" if "Preset" in name or name == "GetStatus" else "trt" if name == "GetProfiles" else "tds"
        )
        if name not in answers:
            return 400, _FAULT.format(f"no {name} here")
        return 200, f"<{prefix}:{name}Response>{answers[name]}</{prefix}:{name}Response>"
