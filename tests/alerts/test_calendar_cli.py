from typer.testing import CliRunner

from alerts.cli import app
from towerwatch.calendars.calendar import calendar_path


def run(*arguments):
    return CliRunner().invoke(app, ["calendar", *map(str, arguments)])


def test_a_calendar_shows_by_whose_word_each_year_goes():
    shown = run("show").stdout
    assert "china: mon tue wed thu fri, 08:30-12:00 13:30-17:30, Asia/Shanghai" in shown
    assert "2027 is not published yet" in shown


def test_a_limit_is_tried_out_and_a_provisional_year_is_told():
    tried = run("due", "2026-12-31T16:30:00", "4 wh")
    assert tried.stdout == "2027-01-04T11:30+08:00\n"
    assert "2027 is not published yet" in tried.stderr
    assert run("due", "2026-03-02T09:00:00", "1 wd").stderr == ""
    refused = run("due", "2026-03-02T09:00:00", "soon")
    assert refused.exit_code == 2
    assert "is no limit" in refused.stderr
    beyond = run("due", "9999-12-31T16:30:00", "9 wd")
    assert (beyond.exit_code, "no calendar reaches" in beyond.stderr) == (2, True)


def test_a_year_is_filled_into_a_file(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(calendar_path("china").read_text(encoding="utf-8"), encoding="utf-8")
    assert "2024: 19 weekdays off, 8 weekend days worked" in run("fill", file, 2024).stdout
    assert "2024: 19 weekdays off" in run("show", file).stdout
