"""Areas from GeoJSON: read as maps write them, and every mistake is told by its feature."""

import json

import pytest
from area_kit import collection, feature, square, town

from alerts.areas.geojson import AreaIndex, Level, read_areas
from towerwatch.errors import ConfigError


def write(tmp_path, document):
    file = tmp_path / "areas.geojson"
    file.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return file


def test_areas_are_read_largest_first_and_find_their_parents(tmp_path):
    areas = read_areas(write(tmp_path, collection(*reversed(town()["features"]))))
    assert [(area.id, area.level, area.parent) for area in areas] == [
        ("city", Level.CITY, None),
        ("east", Level.COUNTY, "city"),
        ("west", Level.COUNTY, "city"),
        ("t1", Level.TOWNSHIP, "west"),
        ("g1", Level.GRID, "t1"),
    ]
    assert areas[0].en == areas[0].zh


def test_a_place_lies_in_its_areas_smallest_first(tmp_path):
    index = AreaIndex(read_areas(write(tmp_path, town())))
    assert [area.id for area in index.at(33.05, 112.05)] == ["g1", "t1", "west", "city"]
    assert [area.id for area in index.at(33.15, 112.9)] == ["east", "city"]
    assert [area.id for area in index.at(33.0, 112.5)] == ["east", "west", "city"]  # on a boundary: in both
    assert index.at(40, 112) == ()


SQUARE = square(112, 33, 113, 34)
BROKEN = {
    "no JSON": ("{", "areas.geojson:1: is not valid JSON"),
    "a number without end": ('{"features": [%s]}' % ("1" * 5000), "is no GeoJSON text in UTF-8"),
    "no collection": ({"type": "Feature"}, "features: is no FeatureCollection"),
    "no features": (collection(), "features: is no FeatureCollection"),
    "a feature that is none": (collection("x"), "features[0]: is no feature"),
    "no id": (collection(feature(None, "city", SQUARE)), "features[0].properties.id: "),
    "no name": (collection(feature("a", "city", SQUARE, zh="")), "features[0].properties.zh: "),
    "no level": (
        collection(feature("a", "village", SQUARE)),
        "features[0].properties.level: Input should be 'city'",
    ),
    "a point": (
        collection(feature("a", "city", {"type": "Point", "coordinates": [1, 2]})),
        "features[0].geometry: should be a Polygon or MultiPolygon, is Point",
    ),
    "no geometry": (collection(feature("a", "city", None)), "is none"),
    "too few corners": (
        collection(feature("a", "city", {"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]})),
        "features[0].geometry.coordinates: is no polygon",
    ),
    "crosses itself": (
        collection(
            feature(
                "a", "city", {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
            )
        ),
        "features[0].geometry: is no valid polygon: Self-intersection",
    ),
    "metres for degrees": (
        collection(feature("a", "city", square(412000, 3700000, 413000, 3701000))),
        "write longitude, latitude in degrees",
    ),
    "an id twice": (
        collection(feature("a", "city", SQUARE), feature("a", "city", SQUARE)),
        "features[1].properties.id: a is that of features[0] too",
    ),
    "a parent that is not there": (
        collection(feature("city", "city", SQUARE), feature("a", "county", SQUARE, parent="ciyt")),
        "features[1].properties.parent: there is no area 'ciyt'; did you mean 'city'?",
    ),
    "a parent no larger": (
        collection(feature("a", "county", SQUARE), feature("b", "county", SQUARE, parent="a")),
        "a is a county, no larger than a county",
    ),
    "a parent elsewhere": (
        collection(feature("a", "city", square(0, 0, 1, 1)), feature("b", "county", SQUARE, parent="a")),
        "b does not lie in a",
    ),
}


@pytest.mark.parametrize(("document", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_area_is_told_by_its_feature(tmp_path, document, told):
    with pytest.raises(ConfigError) as caught:
        read_areas(write(tmp_path, document))
    assert told in str(caught.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    document = collection(
        feature("a", "village", SQUARE), feature("b", "city", None), feature("c", "city", SQUARE)
    )
    with pytest.raises(ConfigError) as caught:
        read_areas(write(tmp_path, document))
    assert len(caught.value.problems) == 2


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_areas(tmp_path / "none.geojson")
