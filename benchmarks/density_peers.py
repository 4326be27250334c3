"""What others do with one camera: run as a file by an interpreter that has their packages.

``python benchmarks/density_peers.py PEER CLIP SECONDS MODEL`` prints one JSON object: ``peer``,
``cpu_s_per_camera_s``, ``looks``, ``version``; or ``peer`` and ``absent``, why it cannot be measured.

* ``ultralytics``: its stream loop as it comes, every picture through YOLO11n at 640 on PyTorch (the network
  as published, without weights: they change nothing in what a picture costs);
* ``script``: OpenCV grabs every picture, and one in 2 s is retrieved, letterboxed and shown to ONNX Runtime;
* ``supervision``: the same, with supervision's frame generator, detections and NMS.

Imports nothing of ours, so that any interpreter will do.
"""

import json
import sys
import time
from typing import Any

FPS, LOOK_S, SIDE_PX = 25, 2.0, 640


def ultralytics(clip: str, seconds: float, _model: str) -> dict[str, Any]:
    """Run the stream loop over the first ``seconds`` of a clip."""
    import ultralytics as package  # noqa: PLC0415 - each peer needs packages of its own

    model = package.YOLO("yolo11n.yaml")
    model.predict(_blank(), imgsz=SIDE_PX, verbose=False, device="cpu")
    at, looks = time.process_time(), 0
    for _ in model.predict(clip, stream=True, imgsz=SIDE_PX, verbose=False, device="cpu"):
        looks += 1
        if looks >= seconds * FPS:
            break
    return _row(time.process_time() - at, looks / FPS, looks, package.__version__)


def script(clip: str, seconds: float, model: str) -> dict[str, Any]:
    """Decode all, look at one picture in 2 s."""
    import cv2  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415

    session, capture = _session(model), cv2.VideoCapture(clip)
    cv2.setNumThreads(1)
    at, looks, index = time.process_time(), 0, 0
    while index < seconds * FPS and capture.grab():
        if index % round(LOOK_S * FPS) == 0:
            _look(session, capture.retrieve()[1])
            looks += 1
        index += 1
    return _row(time.process_time() - at, index / FPS, looks, onnxruntime.__version__)


def supervision(clip: str, seconds: float, model: str) -> dict[str, Any]:
    """Decode all by supervision, look at one picture in 2 s."""
    import supervision as package  # noqa: PLC0415

    session = _session(model)
    at, looks, index = time.process_time(), 0, 0
    for picture in package.get_video_frames_generator(clip, end=round(seconds * FPS)):
        if index % round(LOOK_S * FPS) == 0:
            rows = _look(session, picture)
            found = package.Detections(
                xyxy=rows[:, :4], confidence=rows[:, 4], class_id=rows[:, 5].astype(int)
            )
            found.with_nms()
            looks += 1
        index += 1
    return _row(time.process_time() - at, index / FPS, looks, package.__version__)


def _session(model: str) -> Any:
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the cheapest in CPU time
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _look(session: Any, picture: Any) -> Any:
    """Return the boxes above 0.25 of one picture, (n, 6): corners, confidence, class."""
    import cv2  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    ratio = SIDE_PX / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=ratio, fy=ratio)
    padded = np.full((SIDE_PX, SIDE_PX, 3), 114, np.uint8)
    padded[: small.shape[0], : small.shape[1]] = small
    blob = cv2.dnn.blobFromImage(padded, 1 / 255, swapRB=True)
    out = session.run(None, {session.get_inputs()[0].name: blob})[0][0].T
    confidence = out[:, 4:].max(axis=1)
    keep = confidence > 0.25
    x, y, w, h = out[keep, :4].T
    classes = out[keep, 4:].argmax(axis=1)
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2, confidence[keep], classes], axis=1)


def _blank() -> Any:
    import numpy as np  # noqa: PLC0415

    return np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)


def _row(cpu_s: float, video_s: float, looks: int, version: str) -> dict[str, Any]:
    return {"cpu_s_per_camera_s": cpu_s / max(video_s, 1 / FPS), "looks": looks, "version": version}


PEERS = {"ultralytics": ultralytics, "script": script, "supervision": supervision}


def main(peer: str, clip: str, seconds: str, model: str) -> None:
    """Measure one peer and print what came of it."""
    try:
        row = PEERS[peer](clip, float(seconds), model)
    except ImportError as error:
        row = {"absent": f"{error} ({sys.executable})"}
    print(json.dumps({"peer": peer, **row}))


if __name__ == "__main__":
    main(*sys.argv[1:])
