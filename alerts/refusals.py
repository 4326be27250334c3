# ruff: noqa: RUF001 - Chinese has punctuation of its own
"""What the services say when they refuse, by code, in Chinese and English.

The API and the shell say the English, the console that of its page. Values in braces that are states or
actions are shown by their names.
"""

from __future__ import annotations

from typing import Any, Self

REFUSALS: dict[str, tuple[str, str]] = {
    "note_needed": ("请填写说明", "a note is needed: {needed}"),
    "note_long": ("说明有 {count} 个字符，最多 {most} 个", "note of {count} characters; at most {most}"),
    # incidents and tasks
    "no_incident": ("没有事件 {incident}", "there is no incident {incident}"),
    "no_task": ("没有任务 {task}", "there is no task {task}"),
    "incident_changed": (
        "事件 {incident} 已被他人更新，请查看最新状态",
        "incident {incident} has changed since (version {now}, not {version})",
    ),
    "alert_joined": (
        "事件 {incident} 刚并入新告警，请重新查看",
        "an alert has just joined incident {incident}: look again",
    ),
    "not_in_state": (
        "“{state}”状态下不能“{action}”",
        "{action} is not possible in state {state}; possible: {possible}",
    ),
    "task_not_in_state": (
        "任务“{state}”时不能“{action}”",
        "{action} is not possible for a task that is {state}; possible: {possible}",
    ),
    "was_merged": (
        "事件 {incident} 已并入 {into}，请在该事件中拆分",
        "incident {incident} was merged into {into}: split its alerts off there",
    ),
    "merge_itself": ("事件不能并入自身", "incident {incident} cannot be merged into itself"),
    "merge_unseen": ("您的辖区内没有事件 {into}", "there is no incident {into} in your part of the city"),
    "merge_other_kind": (
        "两个事件类型不同，不能合并",
        "incident {incident} is {kind}, {into} is {other}",
    ),
    "reopen_first": (
        "事件 {incident} 为“{state}”，请先重新打开",
        "incident {incident} is {state}: reopen it first",
    ),
    "department_busy": (
        "{departments} 在此事件中已有未完成的任务",
        "{departments} has an open task in incident {incident}",
    ),
    "departments_count": (
        "请选择 1 至 {most} 个部门（现有 {count} 个）",
        "{count} departments; from 1 to {most}",
    ),
    "department_twice": ("部门 {department} 重复", "department {department!r} stands there twice"),
    "proofs_count": (
        "请提供 1 至 {most} 张照片（现有 {count} 张）",
        "{count} pictures as proof; from 1 to {most}",
    ),
    "not_paused": ("任务并未暂停", "resume is not possible for a task that is not paused"),
    # reports and flows
    "pictures_count": ("请提供 1 至 {most} 张照片（现有 {count} 张）", "{count} pictures; from 1 to {most}"),
    "picture_missing": (
        "照片尚未上传，请重新选择",
        "picture {sha256}: no picture of that digest is here; send it first",
    ),
    "outside_area": ("该位置不在您的辖区（{area}）内", "{lat:.5f}, {lon:.5f} lies outside of area {area}"),
    "no_catalogue": ("尚未导入事件目录", "there is no catalogue yet"),
    "no_item": ("目录中没有小类 {item}", "there is no item {item!r} in the catalogue"),
    "no_flow": ("{flow} 不是小类 {item} 的流程", "{flow} is no flow of item {item}"),
    "no_item_of_kind": ("目录中没有小类受理此类告警", "no item takes alerts of {kind}"),
    "flow_too_late": ("“{state}”状态下不能更改流程", "a flow cannot be chosen in state {state}"),
    "report_of_another": ("该上报属于他人", "report {report} is none of {user}"),
    # people and tokens
    "user_there": ("用户 {name} 已存在", "there is a user named {name!r} already"),
    "no_user": ("没有用户 {name}", "there is no user named {name!r}"),
    "user_name": (
        "用户名 {name} 无效：1 至 64 个字母、数字或 . - @ _",
        "name {name!r}: 1 to 64 letters, digits, dots, dashes, @ or _",
    ),
    "password_length": ("密码需 {least} 至 {most} 个字符", "a password needs {least} to {most} characters"),
    "last_administrator": ("{name} 是最后一名管理员", "{name} is the last administrator"),
    "say_department": ("请选择部门", "role department: say which department"),
    "say_area": ("请选择区域", "role grid_worker: say which area"),
    "administrator_everywhere": (
        "管理员不限区域和部门",
        "an administrator is one for the whole city; leave area and department out",
    ),
    "no_area": ("没有区域 {area}", "there is no area {area!r}"),
    "token_there": ("令牌 {name} 已存在", "there is a token named {name!r} already"),
    "no_token": ("没有令牌 {name}", "there is no token named {name!r}"),
    # cameras, boxes and zones
    "box_away": ("边缘设备 {edge} 不在线", "box {edge} is away"),
    "box_other_config": (
        "边缘设备 {edge} 已换用其他配置，请重新查看",
        "box {edge} runs another configuration by now; look again",
    ),
    "not_its_config": (
        "这不是边缘设备 {edge} 正在运行的配置",
        "this is not the configuration that box {edge} runs now",
    ),
    "zone_ruled": (
        "有规则使用区域 {zone}，请保留该区域或先修改规则",
        "a rule of this view speaks of zone {zone}: keep it, or change the rule first",
    ),
    "zones_unwritable": (
        "该配置的写法无法插入区域，请直接修改文件",
        "this configuration is written in a way that zones cannot be put into; edit the file",
    ),
    "zones_count": ("{count} 个区域，最多 {most} 个", "{count} zones; at most {most}"),
    "zone_id": (
        "区域代码 {zone} 无效：只能用 a–z、0–9、- 和 _",
        "zone {zone!r}: an id of a to z, 0 to 9, - and _",
    ),
    "zone_twice": ("区域代码 {zone} 重复", "zone {zone} stands there twice"),
    "zone_corners": (
        "区域 {zone} 有 {count} 个顶点，应为 3 至 {most} 个",
        "zone {zone} has {count} corners; from 3 to {most}",
    ),
    "zone_beyond": ("区域 {zone} 超出画面", "zone {zone} reaches beyond the picture"),
    "zone_crosses": ("区域 {zone} 的边自相交叉", "zone {zone} crosses itself"),
}


class Refusal(Exception):
    """An error that can be said in any language: its code in :data:`REFUSALS`, and what fills the braces."""

    code: str = ""
    values: dict[str, Any] = {}  # noqa: RUF012 - replaced as a whole, never changed

    @classmethod
    def of(cls, code: str, **values: Any) -> Self:
        """Make the error; its own text is the English."""
        error = cls(REFUSALS[code][1].format(**values))
        error.code, error.values = code, values
        return error
