"""``edge calibrate``: from a file of clicked points to the block that the configuration takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from edge_scenes import LABELS, write_model
from ground_truth import TrueCamera, place
from typer.testing import CliRunner

from edge.config import load_config
from towerwatch.cli import app

TOWER = (33.0, 112.0)
TRUE = TrueCamera(*TOWER, 35.0, 140.0, -1.5, 1.2, 22.0, (1920, 1080))
MARKS = {"church": (-8.0, 900, 30), "mast": (6.5, 2500, 45), "silo": (2.0, 1400, 18), "barn": (-3.0, 700, 0)}
CONFIG = """\
site: riverside
edge: tower-7
models_dir: models
cameras:
  - id: ptz
    url: rtsp://127.0.0.1:9/none
    mount: {lat_deg: 33.0, lon_deg: 112.0, height_m: 35.0, height_sd_m: 0.3, position_sd_m: 2}
    views:
      - preset: east
POSE
        rules: [{kind: smoke, model: vehicle}]
  - id: plain
    url: rtsp://127.0.0.1:9/none
    views: [{rules: [{kind: smoke, model: vehicle}]}]
"""


def clicked() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name, (off_deg, distance_m, height_m) in MARKS.items():
        lat, lon = place(*TOWER, 140.0 + off_deg, distance_m)
        x_px, y_px = (round(value, 1) for value in TRUE.sees(lat, lon, height_m))
        rows.append({"name": name, "x_px": x_px, "y_px": y_px, "lat_deg": lat, "lon_deg": lon,
                     "height_m": height_m})  # fmt: skip
    return rows


def write_config(folder: Path, pose: str = "") -> Path:
    if not (folder / "models").exists():
        write_model(folder / "models", "vehicle", LABELS)
    path = folder / "edge.yaml"
    path.write_text(CONFIG.replace("POSE\n", pose))
    return path


def as_csv(rows: list[dict[str, object]]) -> str:
    columns = ["name", "x_px", "y_px", "lat_deg", "lon_deg", "height_m", "horizon"]
    return (
        "\n".join([",".join(columns), *(",".join(str(row.get(c, "")) for c in columns) for row in rows)])
        + "\n"
    )


def run(config: Path, points: Path, *more: str) -> tuple[int, str, str]:
    arguments = ["edge", "calibrate", str(config), "--camera", "ptz", "--points", str(points), *more]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("form", ["yaml", "csv"])
def test_what_is_printed_can_be_pasted_into_the_view(form: str, tmp_path: Path) -> None:
    config, points = write_config(tmp_path), tmp_path / f"points.{form}"
    points.write_text(as_csv(clicked()) if form == "csv" else yaml.safe_dump({"points": clicked()}))
    code, block, said = run(config, points)
    assert code == 0, said
    assert [line.split()[0] for line in said.splitlines()[:4]] == list(MARKS)
    write_config(tmp_path, "".join(f"        {line}\n" for line in block.splitlines()))
    pose = load_config(config).cameras[0].views[0].pose
    assert pose is not None
    found = [pose.azimuth_deg, pose.tilt_deg, pose.roll_deg, pose.hfov_deg]
    assert found == pytest.approx([140.0, -1.5, 1.2, 22.0], abs=0.02)
    stated = pose.sd
    assert 0.02 < stated.azimuth_deg < 0.3
    assert 0.005 < stated.tilt_deg < 0.1


def test_a_wrong_point_is_named(tmp_path: Path) -> None:
    rows = clicked()
    lat, lon = place(*TOWER, 143.5, 1700)
    rows.append({"name": "bridge", "x_px": 300.0, "y_px": 800.0, "lat_deg": lat, "lon_deg": lon})
    points = tmp_path / "points.yaml"
    points.write_text(yaml.safe_dump({"points": rows}))
    code, _, said = run(write_config(tmp_path), points)
    assert code == 0
    assert [line.split()[0] for line in said.splitlines() if "left out" in line] == ["bridge"]


def horizon_with_place() -> str:
    return yaml.safe_dump({"points": [{**clicked()[0], "horizon": True}]})


@pytest.mark.parametrize(
    ("name", "text", "more", "says"),
    [
        ("p.yaml", yaml.safe_dump({"points": clicked()[:1]}), (), "p.yaml: 1 landmarks and 0 points on the"),
        ("p.yaml", "points: [{name: a, x_px: 1, y_px: 2}]\n", (), "p.yaml:1: points[0].lat_deg: is missing"),
        ("p.yaml", horizon_with_place(), (), "a point on the horizon has no place"),
        ("p.csv", "name,x_px,y_px,lat\n", (), "p.csv:1: lat: unknown column; did you mean 'lat_deg'?"),
        ("p.csv", "name,x_px,y_px\nchurch,5,left\n", (), "p.csv:2: y_px:"),
        ("p.csv", "name,x_px,y_px\nchurch,5,7\n", (), "p.csv:2: lat_deg: is missing"),
        ("p.csv", as_csv(clicked()), ("--size", "640x360"), "outside a picture of 640x360"),
        ("p.csv", as_csv(clicked()), ("--size", "big"), "--size big: write the picture's width and height"),
        ("p.csv", as_csv(clicked()), ("--preset", "west"), "--preset west: camera ptz has no such view"),
        ("p.csv", as_csv(clicked()), ("--camera", "plain"), "camera plain: has no mount"),
        ("none.csv", None, (), "none.csv: cannot be read: No such file"),
        ("p.csv", b"\xff\xfe\x00", (), "p.csv: cannot be read: is no CSV file in UTF-8"),
    ],
    ids=["too few", "no place", "both", "column", "no number", "empty cells", "outside", "size", "preset",
         "mount", "no file", "binary"],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_exit_2(
    name: str, text: str | bytes | None, more: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    points = tmp_path / name
    if text is not None:
        points.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, block, said = run(write_config(tmp_path), points, *more)
    assert code == 2, said
    assert not block
    assert len(said.splitlines()) == 1, said
    assert says in said


def test_contradicting_points_are_refused_with_the_worst_of_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = [
        {**row, "x_px": float(rng.uniform(0, 1920)), "y_px": float(rng.uniform(0, 1080))} for row in clicked()
    ]
    points = tmp_path / "points.yaml"
    points.write_text(yaml.safe_dump({"points": rows}))
    code, _, said = run(write_config(tmp_path), points)
    assert code == 2
    assert "the points contradict each other" in said
    assert "Check its place, height and pixel" in said
