"""Every kind of broken row is told by row and column, and all of them at once."""

import zipfile

import pytest
from catalogue_kit import DEPARTMENTS, FIELDS, flow_row, table, write_xlsx

from alerts.catalogue.read import read_catalogue
from alerts.sheets import letter
from towerwatch.errors import ConfigError

SECOND = {"flow": "02", "zh": "占用消防通道", "en": "Fire lane"}

# what is done to the second row, the column that must be named, what must be said
BROKEN_CELLS = {
    "category code missing in the first row": ({"category": None}, "category", "is missing", 0),
    "category code is a word": ({"category": "x"}, "category", "'x' is no code; write two digits"),
    "category code has three digits": ({"category": "105"}, "category", "'105' is no code"),
    "category code is negative": ({"category": -5}, "category", "'-5' is no code"),
    "category code is a fraction": ({"category": 5.5}, "category", "'5.5' is no code"),
    "category without a name": ({"category": "06", "category_zh": None}, "category_zh", "is missing"),
    "category named otherwise above": ({"category_zh": "秩序"}, "category_zh", "'秩序' differs from row 2"),
    "category name too long": (
        {"category": "06", "category_zh": "名" * 81},
        "category_zh",
        "at most 80 characters",
    ),
    "item code missing below a new category": ({"category": "06", "item": None}, "item", "is missing"),
    "item code is a word": ({"item": "five"}, "item", "'five' is no code; write two digits, or 4"),
    "item code of another category": ({"item": "0605"}, "item", "0605 does not belong under 05"),
    "item without a name": ({"item": "06", "item_zh": None, "kinds": None}, "item_zh", "is missing"),
    "item named otherwise above": ({"item_zh": "停车"}, "item_zh", "'停车' differs from row 2"),
    "unknown kind of alert": ({"item": "06", "kinds": "flood"}, "kinds", "'smoke', 'illegal_parking'"),
    "kind filed under another item": (
        {"item": "06", "item_zh": "别的"},
        "kinds",
        "are filed under 0505 already",
    ),
    "kinds that differ from those above": ({"kinds": "smoke"}, "kinds", "'smoke' differs from row 2"),
    "flow code is a word": ({"flow": "a1"}, "flow", "'a1' is no code; write two digits, or 6"),
    "flow code of another item": ({"flow": "050602"}, "flow", "050602 does not belong under 0505"),
    "flow code there twice": ({"flow": "01"}, "flow", "050501 is there already"),
    "flow code too long": ({"flow": "0505020"}, "flow", "'0505020' is no code"),
    "flow without a name": ({"zh": "  "}, "zh", "is missing"),
    "severity missing": ({"severity": None}, "severity", "is missing"),
    "unknown severity": ({"severity": "awful"}, "severity", "'general', 'major', 'severe' or 'critical'"),
    "condition missing": ({"condition_zh": None}, "condition_zh", "is missing"),
    "condition too long": ({"condition_zh": "长" * 401}, "condition_zh", "at most 400 characters"),
    "cell far too long": ({"condition_zh": "长" * 2001}, "condition_zh", "2001 characters; at most 2000"),
    "verify is no answer": ({"verify": "perhaps"}, "verify", "'perhaps': write yes or no"),
    "department missing": ({"department": None}, "department", "is missing"),
    "department misspelt": (
        {"department": "polce"},
        "department",
        "no department 'polce'; did you mean 'police'?",
    ),
    "department along unknown": ({"along": "fire, army"}, "along", "there is no department 'army'"),
    "department along named twice": ({"along": "fire、fire"}, "along", "names a department twice"),
    "department along is in charge": ({"along": "police"}, "along", "police is in charge already"),
    "limit missing": ({"close": None}, "close", "is missing"),
    "limit without a unit": ({"accept": 15}, "accept", "'15' is no limit; write 30 min"),
    "limit of an unknown unit": ({"close": "2 weeks"}, "close", "'2 weeks' is no limit"),
    "limit of nothing": ({"accept": "0 min"}, "accept", "more than 0"),
    "limit of half a working day": ({"close": "0.5 wd"}, "close", "days are counted whole"),
    "limit of a century": ({"close": "36500 d"}, "close", "at most 1825 d"),
    "accepting longer than closing": (
        {"accept": "3 h", "arrive": None},
        "accept",
        "3 h is longer than the 2 h",
    ),
    "arriving longer than closing": ({"arrive": "300 min"}, "arrive", "300 min is longer than the 2 h"),
    "accepting longer than arriving": ({"arrive": "10 min"}, "accept", "longer than the 10 min to arrive"),
    "criterion missing": ({"criterion_zh": None}, "criterion_zh", "is missing"),
    "notice without a channel": ({"notify": "department"}, "notify", "write who and how"),
    "notice to nobody we know": ({"notify": "mayor:wecom"}, "notify", "'operator', 'department'"),
    "notice by a channel with spaces": ({"notify": "department:we com"}, "notify", "should match pattern"),
    "a formula that failed": ({"close": "#REF!"}, "close", "holds the spreadsheet's error #REF!"),
}


def problems_of(path):
    with pytest.raises(ConfigError) as caught:
        read_catalogue(path)
    return caught.value.problems


@pytest.mark.parametrize("broken", BROKEN_CELLS.values(), ids=BROKEN_CELLS)
def test_a_broken_cell_is_told_by_row_and_column(tmp_path, broken):
    changes, column, said, at = (*broken, 1)[:4]
    rows = [flow_row(), flow_row(**SECOND)]
    rows[at] |= changes
    (problem,) = problems_of(write_xlsx(tmp_path / "c.xlsx", table(*rows)))
    assert problem.file.endswith("c.xlsx[flows]")
    assert problem.line == at + 2
    assert problem.key == f"{letter(FIELDS.index(column))} {column}"
    assert said in problem.message


def test_there_are_at_least_forty_kinds():
    assert len(BROKEN_CELLS) >= 40


HEADINGS = {
    "a heading misspelt": (lambda head: head | {10: "severty"}, "K severty", "did you mean 'severity'?"),
    "a column that must be there": (
        lambda head: head | {18: None},
        "close (结案时限)",
        "the column is missing",
    ),
    "a column twice": (lambda head: head | {11: "结案时限"}, "L 结案时限", "a second time, in column S"),
}


@pytest.mark.parametrize(("change", "key", "said"), HEADINGS.values(), ids=HEADINGS)
def test_a_broken_heading_is_told_before_anything_else(tmp_path, change, key, said):
    rows = table(flow_row())
    head = change(dict(enumerate(rows[0])))
    problems = problems_of(write_xlsx(tmp_path / "c.xlsx", [list(head.values()), *rows[1:]]))
    assert any(p.line == 1 and p.key == key and said in p.message for p in problems), problems


DEPARTMENT_ROWS = {
    "an id twice": (["police", "交警", ""], "A id", "police is there already"),
    "a name twice": (["police2", "交警支队", ""], "B zh", "交警支队 is there already"),
    "no name": (["police2", "", ""], "B zh", "is missing"),
    "no id": (["", "交警", ""], "A id", "is missing"),
    "an id with a blank": (["po lice", "交警", ""], "A id", "'po lice' is no id of a department"),
}


@pytest.mark.parametrize(("row", "key", "said"), DEPARTMENT_ROWS.values(), ids=DEPARTMENT_ROWS)
def test_a_broken_department_is_told_in_its_sheet(tmp_path, row, key, said):
    (problem,) = problems_of(write_xlsx(tmp_path / "c.xlsx", table(flow_row()), [*DEPARTMENTS, row]))
    assert (problem.file[-13:], problem.line, problem.key) == ("[departments]", 4, key)
    assert said in problem.message


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_rows(tmp_path):
    rows = [
        flow_row(severity="awful", close="soon"),
        flow_row(**SECOND, verify="perhaps"),
        flow_row(category="x", item="06"),
        flow_row(category=None, item=None, flow="03", close="soon"),  # of a category that nobody knows
        flow_row(category="07", category_zh="别的", item="01", item_zh="别的", kinds="", close="soon"),
    ]
    told = [
        (p.line, p.key.partition(" ")[2]) for p in problems_of(write_xlsx(tmp_path / "c.xlsx", table(*rows)))
    ]
    assert told == [(2, "severity"), (2, "close"), (3, "verify"), (4, "category"), (6, "close")]


def test_what_stands_outside_the_table_is_told(tmp_path):
    rows = table(flow_row())
    rows[1].append("to do: ask Li")
    (problem,) = problems_of(write_xlsx(tmp_path / "c.xlsx", rows))
    assert (problem.line, problem.key) == (2, "W")


def test_thousands_of_problems_are_not_all_told(tmp_path):
    rows = table(*(flow_row(severity="awful") for _ in range(300)))
    problems = problems_of(write_xlsx(tmp_path / "c.xlsx", rows))
    assert len(problems) == 201
    assert problems[-1].message == "and 100 more problems"


FILES = {
    "no workbook": ("c.xlsx", b"PK\x03\x04 not a zip", "is no XLSX file"),
    "an old workbook": ("c.xls", b"\xd0\xcf", "ends in .yaml, .yml, .csv, .xlsx"),
    "nothing": ("c.csv", b"", "has no rows"),
    "a heading alone": ("c.csv", ",".join(FIELDS).encode(), "has a heading and no rows"),
    "bytes": ("c.csv", b"\xff\xfe\x80\x00\xff", "is neither UTF-8 nor GB 18030"),
    "quotes that never close": ("c.csv", b'category,"item\n1,2', "is not valid CSV"),
}


@pytest.mark.parametrize(("name", "data", "said"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_table_is_told_so(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    (problem,) = problems_of(tmp_path / name)
    assert said in problem.message


def test_a_workbook_that_is_damaged_or_unpacks_without_end_is_told_so(tmp_path, monkeypatch):
    file = write_xlsx(tmp_path / "c.xlsx", table(flow_row()))
    monkeypatch.setattr("alerts.sheets.MAX_UNPACKED", 1 << 10)
    assert "unpacks to more than" in problems_of(file)[0].message
    monkeypatch.undo()
    with zipfile.ZipFile(file) as archive:
        sheet = archive.getinfo("xl/worksheets/sheet1.xml")
    data = bytearray(file.read_bytes())
    data[sheet.header_offset + 60 : sheet.header_offset + 90] = b"\xff" * 30  # in what zlib has packed
    file.write_bytes(data)
    assert "is no XLSX file" in problems_of(file)[0].message


def test_a_department_that_no_sheet_lists_must_be_named_as_an_id(tmp_path):
    rows = table(flow_row(department="Traffic police"))
    (tmp_path / "c.csv").write_text("\n".join(",".join(str(cell or "") for cell in row) for row in rows))
    (problem,) = problems_of(tmp_path / "c.csv")
    assert (problem.line, problem.key.partition(" ")[2]) == (2, "department")
    assert "no blanks" in problem.message


def test_a_file_that_is_not_there_is_told_so(tmp_path):
    assert "No such file" in problems_of(tmp_path / "c.csv")[0].message
