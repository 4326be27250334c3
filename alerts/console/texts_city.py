# ruff: noqa: RUF001 - Chinese has punctuation of its own
"""What the pages about the city say: statistics, catalogue, areas, people, audit."""

from __future__ import annotations

CITY_TEXTS: dict[str, tuple[str, str]] = {
    "menu": ("菜单", "Menu"),
    # statistics
    "statistics": ("统计", "Statistics"),
    "period_days": ("近 {days} 天", "Last {days} days"),
    "period_from": ("从", "From"),
    "period_to": ("至", "To"),
    "period_show": ("查看", "Show"),
    "period_bad": ("所选时间段无效，最长一年", "That is no period; at most a year"),
    "incidents": ("事件", "Incidents"),
    "confirmed": ("属实", "Confirmed"),
    "refuted": ("误报", "False"),
    "others": ("其他", "Others"),
    "false_share": ("误报率", "False share"),
    "on_time": ("按时率", "On time"),
    "verify_time": ("核实用时", "To verify"),
    "arrive_time": ("到场用时", "To arrive"),
    "close_time": ("结案用时", "To close"),
    "p90_within": ("九成在 {time} 内", "nine of ten within {time}"),
    "of_tasks": ("{count} 个到期任务", "of {count} tasks due"),
    "of_judged": ("{count} 个已核实", "of {count} judged"),
    "still_open": ("{count} 个处理中", "{count} open"),
    "by_day": ("每日事件", "Incidents by day"),
    "by_reason": ("排除原因", "Why incidents are dismissed"),
    "by_kind": ("按类型", "By kind"),
    "by_area": ("按区域", "By area"),
    "by_department": ("按部门", "By department"),
    "by_camera": ("按摄像机", "By camera"),
    "median_p90": ("中位 / P90", "median / p90"),
    "download_csv": ("下载 CSV", "Download CSV"),
    "nothing_counted": ("这段时间没有事件", "Nothing began in this period"),
    "nobody_called": ("这段时间没有派遣任务", "No department was called in this period"),
    "no_areas_counted": (
        "尚未导入区域，或事件没有坐标",
        "No areas were imported, or no incident has a place",
    ),
    "department": ("部门", "Department"),
    "area": ("区域", "Area"),
    "shown_of": ("显示前 {shown} 个，共 {count} 个", "The first {shown} of {count}"),
}
