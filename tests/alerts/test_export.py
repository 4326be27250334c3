import json

from central_kit import alert, apply_all, hex_id, picture
from pydantic import TypeAdapter

from alerts.evidence import BlobStore
from alerts.export import VerdictRecord, export_verdicts

JPEG = b"\xff\xd8\xff\xe0 a street"


def judged(database, services):
    apply_all(
        database,
        [
            alert("a", evidence=(picture(JPEG), picture(b"not here", "close_up"))),
            alert("a", "updated", 1),
            alert("b", place_key="kerb/2"),
            alert("c", place_key="kerb/3"),
        ],
    )
    services.incidents.dismiss(1, "permitted", user="li", note="resident")
    services.verdicts.judge_box(hex_id("b"), 0, 0, "true", user="wang")


def test_what_people_judged_goes_out_in_the_stated_schema(database, services, tmp_path):
    judged(database, services)
    store = BlobStore(tmp_path / "evidence")
    store.open()
    picture_file = tmp_path / "picture"
    picture_file.write_bytes(JPEG)
    sha256, _size = store.add_file(picture_file)
    out = tmp_path / "out"
    assert export_verdicts(database, store, out) == 2
    lines = (out / "verdicts.jsonl").read_text().splitlines()
    records = {record.alert_id: record for record in map(VerdictRecord.model_validate_json, lines)}
    a, b = records[hex_id("a")], records[hex_id("b")]
    assert (a.verdict.verdict, a.verdict.reason, a.verdict.note, a.verdict.user) == (
        "false",
        "permitted",
        "resident",
        "li",
    )
    assert [(box.phase_seq, box.box_index, box.label, box.verdict) for box in a.boxes] == [
        (0, 0, "car", None),
        (1, 0, "car", None),
    ]
    files = {item.role: item.file for item in a.evidence}
    assert files == {"context_t0": f"evidence/{sha256}.jpg", "close_up": None}
    assert (out / files["context_t0"]).read_bytes() == JPEG
    assert (a.model, a.rule) == ("vehicle@1.0.0", "illegal_parking/1")
    assert b.verdict is None
    assert b.boxes[0].verdict.user == "wang"


def test_a_jsonl_file_gets_the_lines_alone(sqlite, services_of, tmp_path):
    judged(sqlite, services_of(sqlite))
    out = tmp_path / "deep" / "verdicts.jsonl"
    assert export_verdicts(sqlite, BlobStore(tmp_path / "evidence"), out) == 2
    assert sorted(path.name for path in out.parent.iterdir()) == ["verdicts.jsonl"]


def test_the_schema_can_be_printed():
    schema = TypeAdapter(VerdictRecord).json_schema()
    assert schema == VerdictRecord.model_json_schema()
    assert json.dumps(schema)
    assert schema["properties"]["schema_version"]["const"] == 1
