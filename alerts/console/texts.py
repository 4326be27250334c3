# ruff: noqa: RUF001 - Chinese has punctuation of its own
"""What the console says, in Chinese and English; names of kinds, states and reasons are ``alerts.texts``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alerts import texts as shared
from alerts.console.texts_city import CITY_TEXTS
from alerts.mistakes import MISTAKES, Mistake
from alerts.refusals import REFUSALS, Refusal
from alerts.states import Action, State, TaskAction, TaskState
from alerts.texts import LANGUAGES, Language

TEXTS: dict[str, tuple[str, str]] = CITY_TEXTS | {
    "actions": ("操作", "Actions"),
    "age_d": ("%天前", "% d ago"),
    "age_h": ("%小时前", "% h ago"),
    "age_min": ("%分钟前", "% min ago"),
    "age_s": ("%秒前", "% s ago"),
    "alert": ("告警", "Alert"),
    "alerts": ("条告警", "alerts"),
    "all": ("全部", "All"),
    "back": ("返回", "Back"),
    "bearing": ("方位角", "Bearing"),
    "box_false": ("误检", "Wrong"),
    "box_true": ("正确", "Right"),
    "box_unsure": ("不确定", "Unsure"),
    "boxes": ("目标框", "Boxes"),
    "camera": ("摄像机", "Camera"),
    "camera_filter": ("摄像机…", "Camera…"),
    "camera_short": ("摄像机", "Cameras"),
    "cameras": ("摄像机", "Cameras"),
    "cameras_all_fresh": ("全部摄像机画面正常", "Every camera shows a fresh picture"),
    "cameras_none": ("尚无摄像机上报", "No camera has reported yet"),
    "cancel": ("取消", "Cancel"),
    "changed_meanwhile": (
        "事件已被他人更新，已显示最新状态",
        "Somebody was faster; this is the newest state",
    ),
    "clock_bad": ("设备时钟未同步", "The box's clock is not synchronised"),
    "close_note": ("处置说明（可选）", "What was done (optional)"),
    "closure_proposed": ("现场已恢复，建议结案", "It has ended on site; closing is proposed"),
    "confidence": ("置信度", "Confidence"),
    "coverage": ("覆盖", "Coverage"),
    "coverage_hint": (
        "能看清的时间占比；深灰为夜间不看烟，浅灰为未知",
        "Share of the time seeing; dark grey is night without a watch for smoke, light grey is not known",
    ),
    "coverage_hours": ("逐小时覆盖", "Coverage by hour"),
    "dark": ("深色", "Dark"),
    "dismiss_title": ("排除原因", "Why is it dismissed?"),
    "done": ("已{action}", "Done: {action}"),
    "drops": ("丢帧", "Dropped"),
    "duration": ("持续", "Duration"),
    "edge": ("边缘设备", "Box"),
    "edges": ("边缘设备", "Boxes"),
    "empty": ("没有符合条件的事件", "No incident matches"),
    "ended": ("已结束", "ended"),
    "episodes": ("告警过程", "Alerts"),
    "evidence": ("证据", "Evidence"),
    "expired": ("登录已失效，请重新登录", "The login has expired; log in again"),
    "facts": ("详情", "Details"),
    "filter_state": ("状态", "State"),
    "health_at": ("最近上报", "Last report"),
    "help": ("键盘操作", "Keyboard"),
    "historical": ("补传", "late"),
    "historical_long": ("断网期间发生，事后补传", "Held back by an outage, sent later"),
    "incident": ("事件", "Incident"),
    "interval": ("间隔", "Interval"),
    "judge_box": ("判定目标框", "Judge this box"),
    "judge_hint": ("点击目标框可判定对错", "Click a box to say whether it is right"),
    "kind": ("类型", "Kind"),
    "lag": ("时延 P95", "Lag p95"),
    "last_picture": ("最近画面", "Last picture"),
    "last_seen": ("最近观测", "Last seen"),
    "light": ("浅色", "Light"),
    "list": ("列表", "List"),
    "login": ("登录", "Log in"),
    "login_refused": ("用户名或密码错误", "Name or password is wrong"),
    "login_wait": ("尝试次数过多，请 {seconds} 秒后再试", "Too many attempts; try again in {seconds} s"),
    "logout": ("退出", "Log out"),
    "lost": ("设备重启后未再上报", "The box no longer knows this alert"),
    "lost_messages": ("丢失消息", "Lost messages"),
    "map": ("地图", "Map"),
    "map_empty": (
        "尚无坐标：标定视角或录入摄像机位置后，事件与摄像机会显示在这里",
        "No position yet: calibrate a view or enter where a camera stands, and it shows here",
    ),
    "may_not": ("当前用户无权执行此操作", "This user may not do that"),
    "model": ("模型", "Model"),
    "more": ("显示更多", "Show more"),
    "name": ("用户名", "Name"),
    "next": ("下一条", "Next"),
    "no_evidence": ("此告警没有图像证据", "This alert carries no pictures"),
    "no_zones": ("此告警没有区域", "This alert has no zone"),
    "not_found": ("没有这个事件", "There is no such incident"),
    "not_here": ("图像上传中…", "On its way from the box…"),
    "not_kept": ("系统暂时无法保存，请稍后再试", "The system cannot keep this now; try again in a while"),
    "note": ("备注（可选）", "Note (optional)"),
    "offline": ("离线", "Offline"),
    "online": ("在线", "Online"),
    "open": ("处理中", "Open"),
    "open_alert_count": ("进行中", "ongoing"),
    "outbox": ("待发", "Waiting"),
    "password": ("密码", "Password"),
    "picture": ("查看大图", "Enlarge"),
    "place": ("位置", "Place"),
    "place_camera": ("摄像机位置", "camera's place"),
    "place_unknown": ("未标定", "not calibrated"),
    "preset": ("预置位", "Preset"),
    "queue": ("事件列表", "Incidents"),
    "reason": ("原因", "Reason"),
    "refused": ("操作未执行：{why}", "Not done: {why}"),
    "restarts": ("重启", "Restarts"),
    "rule": ("规则", "Rule"),
    "severity": ("级别", "Severity"),
    "silent": ("失联", "Silent"),
    "since": ("状态始于", "Since"),
    "site": ("站点", "Site"),
    "sort": ("排序", "Order"),
    "sort_newest": ("最新", "Newest"),
    "sort_severity": ("按级别", "By severity"),
    "started": ("开始", "Started"),
    "state": ("状态", "State"),
    "still": ("进行中", "ongoing"),
    "submit": ("提交", "Submit"),
    "system": ("系统", "System"),
    "decline_note": ("退单原因", "Whose is it, or why not yours?"),
    "departments_hint": ("部门代码，用空格分隔", "Ids of departments, with blanks between"),
    "in_time": ("按时", "in time"),
    "late": ("超时", "late"),
    "left": ("剩余 {time}", "{time} left"),
    "level": ("督办 {level} 级", "Level {level}"),
    "look_again": ("摄像机复看", "The camera's look again"),
    "merge_hint": ("并入的事件编号", "Number of the incident that takes it over"),
    "no_picture": ("只接受 JPEG 或 PNG 图片", "Only JPEG or PNG pictures are taken"),
    "pictures_most": ("最多 {most} 张照片", "{most} pictures at most"),
    "over_by": ("超时 {time}", "{time} over"),
    "pause_note": ("暂停原因", "Why does it pause?"),
    "paused": ("已暂停", "Paused"),
    "proof_hint": ("请上传至少一张处置后的照片", "Hand in at least one picture that shows it is done"),
    "send_back_note": ("哪里不合格", "What is not good enough?"),
    "tasks": ("处置任务", "Tasks of departments"),
    "withdraw_note": ("撤回说明（可选）", "Why nobody has to come (optional)"),
    "theme": ("深浅色", "Light or dark"),
    "timeline": ("时间线", "Timeline"),
    "title": ("瞭望 Towerwatch", "Towerwatch"),
    "version": ("版本", "Version"),
    "wall": ("值守", "Wall"),
    "within": ("±{major}\u00a0×\u00a0{minor}\u00a0m", "±{major}\u00a0×\u00a0{minor}\u00a0m"),
    "zone": ("区域", "Zone"),
    "zones": ("区域", "Zones"),
    # the keyboard overlay
    "key_boxes": ("显示或隐藏目标框", "Boxes on or off"),
    "key_close": ("结案", "Close"),
    "key_confirm": ("确认", "Confirm"),
    "key_dismiss": ("排除", "Dismiss"),
    "key_help": ("显示本帮助", "This help"),
    "key_move": ("列表中下移、上移", "Down and up the list"),
    "key_check": ("送核查", "To check"),
    "key_dispatch": ("派遣", "Dispatch"),
    "key_evaluate": ("评价", "Evaluate"),
    "key_merge": ("合并", "Merge"),
    "key_send_back": ("退回重办", "Send back"),
    "key_task": ("受理、到场、处置完毕、暂停", "Accept, arrive, handled, pause"),
    "key_withdraw": ("撤回派遣", "Withdraw"),
    "key_next": ("列表中的下一条", "Next in the list"),
    "key_open": ("打开选中的事件", "Open the selected incident"),
    "key_reopen": ("重新打开", "Reopen"),
    "key_up": ("返回列表", "Back to the list"),
    "key_zones": ("显示或隐藏区域", "Zones on or off"),
    # lines of the timeline that are no actions
    "line_verdict": ("判定", "Verdict"),
    "line_detected": ("事件建立", "Incident made"),
    "line_alert": ("并入告警", "Alert joined"),
    "line_alert_lost": ("告警失去联系", "Alert lost"),
    "line_closure_proposed": ("建议结案", "Closure proposed"),
    "line_look_again": ("请摄像机复看", "Camera asked to look again"),
    "line_looked_again": ("复看完成", "The camera has looked again"),
    "line_look_failed": ("复看未成", "The camera could not look"),
    "line_merged": ("并入其他事件的告警", "Alerts of another incident joined"),
    "line_overdue": ("超时督办", "Overdue"),
    "line_pause": ("暂停计时", "Pause"),
    "line_reminder": ("临期提醒", "Reminder"),
    "line_reported": ("人工上报", "Reported"),
    "line_flow": ("选定流程", "Flow chosen"),
    "line_resume": ("恢复计时", "Resume"),
    "line_split": ("拆分出新事件", "Split off"),
}

SEVERITIES: dict[int, tuple[str, str]] = {
    1: ("紧急", "Critical"),
    2: ("重要", "High"),
    3: ("一般", "Medium"),
    4: ("设备", "Technical"),
}

# a camera as the wall shows it: what its box says, unless that is away
CAMERA_STATES: dict[str, tuple[str, str]] = {"offline": TEXTS["offline"]} | {
    str(state): names for state, names in shared.FRESHNESS.items()
}

# why a rule has spoken, where it is not the usual
RULE_REASONS: dict[str, tuple[str, str]] = {"object": ("路面异物", "Object on the road")}

# what rules measure; an unknown name is shown as it is, with the unit its ending says
MEASURES: dict[str, tuple[str, str]] = {
    "dwell_s": ("停留时长", "Dwell"),
    "stopped_s": ("停驶时长", "Stopped for"),
    "legal_time_s": ("允许时长", "Legal time"),
    "duration_s": ("持续时长", "Duration"),
    "blocked_s": ("阻塞时长", "Blocked for"),
    "silent_s": ("失联时长", "Silent for"),
    "blind_s": ("失效时长", "Blind for"),
    "occupancy_frac": ("占用率", "Occupancy"),
    "area_frac": ("面积占比", "Area"),
    "vote_frac": ("投票比例", "Votes"),
    "votes_frac": ("投票比例", "Votes"),
    "speed_bl_s": ("速度", "Speed"),
    "speed_kmh": ("速度", "Speed"),
    "speed_m_s": ("速度", "Speed"),
    "queue_m": ("排队长度", "Queue length"),
    "queue_bl": ("排队长度", "Queue length"),
    "stuck_s": ("滞留时长", "Nothing passes for"),
    "standing": ("停驶车辆", "Standing vehicles"),
    "moving": ("行驶车辆", "Moving vehicles"),
    "lies_s": ("遗留时长", "Lies for"),
    "level": ("拥堵等级（0 畅通至 3 阻塞）", "Congestion (0 free to 3 blocked)"),
    "vehicles": ("车辆数", "Vehicles"),
    "stopped": ("停驶车辆", "Stopped vehicles"),
    "votes": ("投票", "Votes"),
    "discharge_per_min": ("每分钟驶离", "Leaving per minute"),
}


_NAMED: dict[type, Mapping[Any, tuple[str, str]]] = {
    State: shared.STATES,
    TaskState: shared.TASK_STATES,
    Action: shared.ACTIONS,
    TaskAction: shared.TASK_ACTIONS,
}


@dataclass(frozen=True, slots=True)
class Words:
    """All texts in one language."""

    language: Language

    def __call__(self, key: str, **values: object) -> str:
        """Return a text of the console; ``values`` fill its braces."""
        return TEXTS[key][self._index].format(**values) if values else TEXTS[key][self._index]

    @property
    def _index(self) -> int:
        return LANGUAGES.index(self.language)

    def name(self, table: Mapping[Any, tuple[str, str]], key: object) -> str:
        """Return the name of ``key`` in a table of pairs, or the key itself."""
        pair = table.get(key)
        return pair[self._index] if pair else str(key)

    def names(self, table: Mapping[Any, tuple[str, str]]) -> dict[str, str]:
        """Return a whole table in this language, for the browser."""
        return {str(key): pair[self._index] for key, pair in table.items()}

    def refusal(self, error: Refusal) -> str:
        """Say why something was refused; states and actions in it by their names."""
        texts = REFUSALS.get(error.code)
        if texts is None:
            return str(error)
        return texts[self._index].format(**{key: self._named(value) for key, value in error.values.items()})

    def mistake(self, message: str) -> str:
        """Say what is wrong in a file; a line that is no :class:`Mistake` is shown as it is."""
        if not isinstance(message, Mistake):
            return message
        return MISTAKES[message.code][self._index].format(**message.values)

    def _named(self, value: object) -> object:
        for kind, table in _NAMED.items():
            if isinstance(value, kind):
                return self.name(table, value)
        return value

    def line(self, action: str) -> str:
        """Name what a line of the timeline tells."""
        for table in (shared.ACTIONS, shared.TASK_ACTIONS):
            if action in table:
                return self.name(table, action)
        pair = TEXTS.get(f"line_{action}")
        return pair[self._index] if pair else action.replace("_", " ")

    @property
    def locale(self) -> str:
        """The language's tag in HTML."""
        return "zh-CN" if self.language == "zh" else "en"


WORDS: dict[Language, Words] = {language: Words(language) for language in LANGUAGES}
