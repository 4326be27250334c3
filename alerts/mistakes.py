# ruff: noqa: RUF001 - Chinese has punctuation of its own
"""What may be wrong in a file that people import, by code, in Chinese and English.

The API and the shell say the English, the console that of its page. What a parser or a spreadsheet says
stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

MISTAKES: dict[str, tuple[str, str]] = {
    # files and tables
    "file_unreadable": ("无法读取：{why}", "cannot be read: {why}"),
    "file_large": ("超过 {most} MiB", "is larger than {most} MiB"),
    "file_ending": ("文件名应以 {endings} 结尾", "a catalogue is a file that ends in {endings}"),
    "not_text": ("不是 UTF-8 或 GB 18030 文本", "is neither UTF-8 nor GB 18030 text"),
    "not_csv": ("不是有效的 CSV：{why}", "is not valid CSV: {why}"),
    "not_xlsx": (
        "不是 XLSX 文件；请另存为不带密码的 XLSX（{why}）",
        "is no XLSX file; save it as one, without a password ({why})",
    ),
    "unpacks_large": ("解压后超过 {most} MiB", "unpacks to more than {most} MiB"),
    "rows_many": ("超过 {most} 行", "more than {most} rows"),
    "rows_none": ("没有任何行", "has no rows"),
    "heading_alone": ("只有表头，没有数据行", "has a heading and no rows"),
    "problems_more": ("还有 {count} 处问题", "and {count} more problems"),
    "column_unknown": ("未知的列", "unknown column{hint}"),
    "column_twice": ("重复出现，另见 {letter} 列", "stands a second time, in column {letter}"),
    "column_missing": ("缺少此列，请补上", "the column is missing; add it"),
    "outside_table": ("{text} 在表格之外", "{text!r} stands outside the table"),
    "cell_failed": ("单元格为错误值 {text}", "holds the spreadsheet's error {text}"),
    "cell_long": ("{count} 个字符，最多 {most} 个", "{count} characters; at most {most}"),
    # cells: ``said`` is what the validator says in English
    "missing": ("缺失", "is missing"),
    "string_too_long": ("最多 {max_length} 个字符", "{said}"),
    "string_too_short": ("至少 {min_length} 个字符", "{said}"),
    "string_pattern_mismatch": ("格式不符：{shown}", "{said}"),
    "enum": ("应为 {expected} 之一，现为 {shown}", "{said}"),
    # catalogue
    "cell_differs": (
        "{value} 与第 {row} 行不同；请写成一样，或留空",
        "{value!r} differs from row {row}; say it the same, or leave it blank",
    ),
    "code_bad": ("{text} 不是代码；请写两位数字", "{text!r} is no code; write two digits"),
    "code_bad_below": (
        "{text} 不是代码；请写两位数字，或连同上级共 {digits} 位",
        "{text!r} is no code; write two digits, or {digits} with those above",
    ),
    "code_elsewhere": ("{text} 不属于 {above}", "{text} does not belong under {above}"),
    "kind_taken": ("{kind} 类告警已归入 {item}", "alerts of kind {kind} are filed under {item} already"),
    "no_department": ("没有部门 {name}", "there is no department {name!r}{hint}"),
    "in_charge_already": ("{name} 已是主管部门", "{name} is in charge already"),
    "department_again": ("同一部门出现两次", "names a department twice"),
    "there_already": ("{value} 已存在", "{value} is there already"),
    "longer_than_close": ("{limit} 长于结案时限 {other}", "{limit} is longer than the {other} to close"),
    "longer_than_arrive": ("{limit} 长于到场时限 {other}", "{limit} is longer than the {other} to arrive"),
    "limit_bad": (
        "不是时限；请写 30 min、4 h、2 d、4 wh（工作小时）或 1 wd（工作日）",
        "{said}",
    ),
    "flag_bad": ("{value}：请写“是”或“否”", "{value!r}: write yes or no"),
    "notice_bad": (
        "{value}：请写对象和渠道，如 主管部门:wecom",
        "{value!r}: write who and how, such as department:wecom",
    ),
    "department_id_bad": (
        "{value} 不能作部门代码：1 至 64 个字符，不含空格、逗号和分号",
        "{value!r} is no id of a department: 1 to 64 characters, no blanks, commas or semicolons",
    ),
    # rosters
    "days_bad": ("{value}：请写 周一至周五，或 sat,sun", "{value!r}: write mon-fri, or sat,sun"),
    "hours_bad": (
        "{value}：请写 08:00-20:00；20:00-08:00 延续到次日",
        "{value!r}: write 08:00-20:00; 20:00-08:00 goes on into the next day",
    ),
    "date_bad": ("{value} 不是日期；请写 2026-10-01", "{value!r} is no date; write 2026-10-01"),
    "days_turned": ("{first} 晚于结束日期 {last}", "{first} is after the last day, {last}"),
    "no_area": ("没有区域 {area}", "there is no area {area!r}{hint}"),
    # areas
    "not_json": ("不是有效的 JSON：{why}", "is not valid JSON: {why}"),
    "not_geojson": ("不是 UTF-8 的 GeoJSON 文本", "is no GeoJSON text in UTF-8"),
    "no_collection": ("不是含有要素的 FeatureCollection", "is no FeatureCollection with features"),
    "no_feature": ("不是要素", "is no feature"),
    "geometry_kind": (
        "应为 Polygon 或 MultiPolygon，现为 {kind}",
        "should be a Polygon or MultiPolygon, is {kind}",
    ),
    "no_polygon": ("不是多边形：{why}", "is no polygon: {why}"),
    "polygon_invalid": ("多边形无效：{why}", "is no valid polygon: {why}"),
    "not_degrees": (
        "范围为 {reach}：请按经度、纬度（度）填写",
        "reaches {reach}: write longitude, latitude in degrees",
    ),
    "area_twice": ("{area} 与 features[{first}] 重复", "{area} is that of features[{first}] too"),
    "parent_small": (
        "上级 {parent} 的级别（{level}）不高于 {own}",
        "{parent} is a {level}, no larger than a {own}",
    ),
    "parent_elsewhere": ("{area} 不在 {parent} 之内", "{area} does not lie in {parent}"),
}


class Mistake(str):
    """A line in English that can be said in Chinese too: its code in :data:`MISTAKES`, and what fills it."""

    __slots__ = ("code", "values")
    code: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, code: str, **values: Any) -> Self:
        """Make the line."""
        line = cls(MISTAKES[code][1].format(**values))
        line.code, line.values = code, values
        return line
