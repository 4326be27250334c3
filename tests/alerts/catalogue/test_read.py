"""A catalogue is the same from whatever file it comes, and as people write such files."""

import time

import pytest
import yaml
from catalogue_kit import city_rows, flow_row, table, write_xlsx

from alerts.catalogue.columns import FLOW_COLUMNS
from alerts.catalogue.document import CatalogueDocument
from alerts.catalogue.model import Severity, Who
from alerts.catalogue.read import read_catalogue, starter_path
from alerts.catalogue.write import write_catalogue
from alerts.messages import Kind
from towerwatch.calendars.limits import Limit, Unit
from towerwatch.errors import ConfigError


@pytest.fixture(scope="module")
def starter():
    return read_catalogue(starter_path())


def test_the_starter_knows_every_kind_of_alert(starter):
    assert len(starter.categories) == 12
    filed = {kind: item for item in starter.items for kind in item.kinds}
    assert set(filed) == set(Kind) - {Kind.REPORTED}  # a report names its item itself
    # the codes that other cities publish
    assert {
        code: zh for code, zh in ((i.code, i.zh) for i in starter.items) if code in {"0127", "0304", "0505"}
    } == {
        "0127": "焚烧垃圾、树叶",
        "0304": "道路遗撒",
        "0505": "机动车乱停放",
    }
    assert all(flow.en != flow.zh and flow.condition_en and flow.criterion_en for flow in starter.flows)


@pytest.mark.parametrize("name", ["c.xlsx", "c.csv"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_is_written_is_read_again(starter, tmp_path, name, language):
    write_catalogue(starter, tmp_path / name, language=language)
    again = read_catalogue(tmp_path / name)
    assert again.flows == starter.flows
    assert again.items == starter.items
    # a CSV has no sheet of departments: they are those that it names
    assert {row.id for row in again.departments} <= {row.id for row in starter.departments}
    assert (again.digest() == starter.digest()) is (name == "c.xlsx")


def test_a_chinese_table_is_read_as_people_write_it(tmp_path):
    """Names for ids, merged cells, codes without zeros, the comma and colon of Chinese, blanks around."""
    first = flow_row(
        category=5, item=505, severity="较大", verify="是", department="交警支队", along="消防支队"
    )
    first |= {
        "accept": "15分钟",
        "arrive": None,
        "close": "4个工作小时",
        "notify": "主管部门：wecom，operator：console",  # noqa: RUF001 - the Chinese marks are meant
    }
    blank = dict.fromkeys(("category", "category_zh", "category_en", "item", "item_zh", "item_en", "kinds"))
    second = flow_row(**blank, flow="２", zh="占用消防通道", close="1个工作日")  # noqa: RUF001 - a full-width digit
    rows = [[], *table(first, second), [None, " "]]
    rows[1] = [column.zh for column in FLOW_COLUMNS]
    catalogue = read_catalogue(write_xlsx(tmp_path / "c.xlsx", rows))
    one, two = catalogue.flows
    assert (one.code, two.code) == ("050501", "050502")
    assert (one.department, one.along, one.severity, one.verify) == (
        "police",
        ("fire",),
        Severity.MAJOR,
        True,
    )
    assert (one.accept, one.arrive, one.close) == (
        Limit(15, Unit.MINUTES),
        None,
        Limit(4, Unit.WORKING_HOURS),
    )
    assert [(notice.who, notice.how) for notice in one.notify] == [
        (Who.DEPARTMENT, "wecom"),
        (Who.OPERATOR, "console"),
    ]
    assert [item.code for item in catalogue.items] == ["0505"]


def test_a_csv_of_a_chinese_spreadsheet_is_read(tmp_path):
    text = "\n".join(
        ",".join(str(cell or "") for cell in row) for row in table(flow_row(department="交警支队"))
    )
    (tmp_path / "c.csv").write_bytes(text.encode("gb18030"))
    catalogue = read_catalogue(tmp_path / "c.csv")
    assert [(row.id, row.zh) for row in catalogue.departments] == [("交警支队", "交警支队"), ("fire", "fire")]
    assert catalogue.name == "c"


def test_the_whole_of_a_city_is_read_in_seconds(tmp_path):
    file = write_xlsx(tmp_path / "city.xlsx", city_rows())
    started = time.perf_counter()
    catalogue = read_catalogue(file)
    took_s = time.perf_counter() - started
    assert catalogue.size() == "12 categories, 105 items, 958 flows"
    assert took_s < 5, took_s  # 0.6 s on the machine it was written on


YAML = """\
name: town
departments:
  - {id: police, zh: 交警, en: Police}
categories:
  - code: "05"
    zh: 街面秩序
    items:
      - code: "05"
        zh: 乱停放
        flows:
          - code: "01"
            zh: 违法停车
            severity: general
            condition_zh: 停放超时
            verify: yes
            department: police
            accept: 15 min
            close: 2 h
            criterion_zh: 驶离
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "department: police",
            "department: polise",
            "16: categories[0].items[0].flows[0].department: there is no",
        ),
        ("close: 2 h", "close: soon", "18: categories[0].items[0].flows[0].close: 'soon' is no limit"),
        ("accept: 15 min", "accept: 3 h", "17: categories[0].items[0].flows[0].accept: 3 h is longer than"),
        ("verify: yes", "verfy: yes", "15: categories[0].items[0].flows[0].verfy: unknown key; did you mean"),
        (
            "{id: police",
            "{id: army, zh: 军, en: Army}\n  - {id: army",
            "4: departments[1].id: army is there already",
        ),
        (
            "zh: 乱停放",
            "zh: 停\n        kinds: [flood]",
            "10: categories[0].items[0].kinds[0]: should be 'smoke'",
        ),
        (
            "        flows:",
            "        flows: []\n        more:",
            "10: categories[0].items[0].flows: needs at least 1",
        ),
    ],
)
def test_yaml_is_told_by_line_and_key(tmp_path, old, new, told):
    file = tmp_path / "town.yaml"
    file.write_text(YAML, encoding="utf-8")
    assert read_catalogue(file).flows[0].en == "违法停车"
    file.write_text(YAML.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_catalogue(file)
    assert f"town.yaml:{told}" in str(caught.value)


def test_a_code_that_yaml_takes_for_a_number_is_one():
    document = yaml.safe_load(YAML.replace('"05"', "5").replace('"01"', "1"))
    assert CatalogueDocument.model_validate(document).catalogue().flows[0].code == "050501"


def test_a_table_is_csv_or_xlsx(starter, tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.csv or \.xlsx"):
        write_catalogue(starter, tmp_path / "c.ods")
