"""Names of kinds, states, actions and reasons in Chinese and English, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from alerts.messages import BlindReason, EvidenceRole, Freshness, Kind, Phase
from alerts.states import Action, State, TaskAction, TaskState

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

KINDS: dict[Kind, tuple[str, str]] = {
    Kind.SMOKE: ("秸秆焚烧烟雾", "Straw-burning smoke"),
    Kind.ILLEGAL_PARKING: ("违法停车", "Illegal parking"),
    Kind.BLOCKED_ROAD: ("道路阻塞", "Blocked road"),
    Kind.STOPPED_VEHICLE: ("车辆停驶", "Stopped vehicle"),
    Kind.CAMERA_BLIND: ("摄像机失效", "Camera blind"),
    Kind.EDGE_SILENT: ("边缘设备失联", "Edge box silent"),
    Kind.REPORTED: ("人工上报", "Reported by people"),
}
STATES: dict[State, tuple[str, str]] = {
    State.DETECTED: ("已识别", "Detected"),
    State.TO_VERIFY: ("待核实", "To verify"),
    State.FILED: ("已立案", "Filed"),
    State.DISPATCHED: ("已派遣", "Dispatched"),
    State.ACCEPTED: ("已受理", "Accepted"),
    State.ON_SITE: ("已到场", "On site"),
    State.HANDLED: ("已处置", "Handled"),
    State.TO_CHECK: ("待核查", "To check"),
    State.DISMISSED: ("已排除", "Dismissed"),
    State.CLOSED: ("已结案", "Closed"),
    State.EVALUATED: ("已评价", "Evaluated"),
}
ACTIONS: dict[Action, tuple[str, str]] = {
    Action.SUBMIT: ("提交核实", "Submit"),
    Action.CONFIRM: ("立案", "Confirm"),
    Action.FILE: ("免核实立案", "Filed unverified"),
    Action.DISMISS: ("排除", "Dismiss"),
    Action.DISPATCH: ("派遣", "Dispatch"),
    Action.WITHDRAW: ("撤回派遣", "Withdraw"),
    Action.CHECK: ("送核查", "To check"),
    Action.SEND_BACK: ("退回重办", "Send back"),
    Action.CLOSE: ("结案", "Close"),
    Action.EVALUATE: ("评价", "Evaluate"),
    Action.REOPEN: ("重新打开", "Reopen"),
    Action.MERGE: ("合并", "Merge"),
    Action.RECOVER: ("自动恢复", "Recovered"),
}
TASK_STATES: dict[TaskState, tuple[str, str]] = {
    TaskState.ASSIGNED: ("待受理", "Assigned"),
    TaskState.ACCEPTED: ("已受理", "Accepted"),
    TaskState.ON_SITE: ("已到场", "On site"),
    TaskState.HANDLED: ("已处置", "Handled"),
    TaskState.DECLINED: ("已退单", "Declined"),
    TaskState.WITHDRAWN: ("已撤回", "Withdrawn"),
}
TASK_ACTIONS: dict[TaskAction, tuple[str, str]] = {
    TaskAction.ACCEPT: ("受理", "Accept"),
    TaskAction.ARRIVE: ("到场", "Arrive"),
    TaskAction.HANDLE: ("处置完毕", "Handled"),
    TaskAction.DECLINE: ("退单", "Decline"),
    TaskAction.WITHDRAW: ("撤回", "Withdraw"),
}
STAGES: dict[str, tuple[str, str]] = {
    "accept": ("受理", "Accept"),
    "arrive": ("到场", "Arrive"),
    "close": ("处置", "Handle"),
}
SCORES: dict[int, tuple[str, str]] = {
    1: ("很差", "Very poor"),
    2: ("较差", "Poor"),
    3: ("一般", "Fair"),
    4: ("良好", "Good"),
    5: ("优秀", "Very good"),
}
PHASES: dict[Phase, tuple[str, str]] = {
    Phase.OPENED: ("开始", "Opened"),
    Phase.UPDATED: ("更新", "Updated"),
    Phase.CLOSED: ("结束", "Ended"),
}
DISMISS_REASONS: dict[str, tuple[str, str]] = {
    "fog_cloud": ("雾、霾或云", "Fog, haze or cloud"),
    "dust": ("扬尘", "Dust"),
    "known_source": ("烟囱等已知源", "Chimney or other known source"),
    "light_shadow": ("光线或阴影", "Light or shadow"),
    "permitted": ("允许停放", "Parking permitted here"),
    "brief_stop": ("临时停车", "Brief stop"),
    "red_light": ("红灯排队", "Queue at a red light"),
    "no_object": ("无目标", "Nothing there"),
    "wrong_zone": ("区域设置有误", "Zone drawn wrongly"),
    "duplicate": ("重复", "Duplicate"),
    "test": ("测试", "Test"),
    "other": ("其他", "Other"),
}
VERDICTS: dict[str, tuple[str, str]] = {
    "true": ("属实", "True"),
    "false": ("误报", "False"),
    "unsure": ("不确定", "Unsure"),
}
EVIDENCE_ROLES: dict[EvidenceRole, tuple[str, str]] = {
    EvidenceRole.CONTEXT_T0: ("起始全景", "Scene at start"),
    EvidenceRole.CONTEXT_MID: ("过程全景", "Scene midway"),
    EvidenceRole.CONTEXT_NOW: ("确认全景", "Scene at confirmation"),
    EvidenceRole.CONTEXT_END: ("结束全景", "Scene at end"),
    EvidenceRole.CLOSE_UP: ("特写", "Close-up"),
    EvidenceRole.CLIP: ("录像", "Clip"),
}
FRESHNESS: dict[Freshness, tuple[str, str]] = {
    Freshness.STARTING: ("启动中", "Starting"),
    Freshness.FRESH: ("正常", "Fresh"),
    Freshness.STALE: ("滞后", "Stale"),
    Freshness.BLIND: ("失效", "Blind"),
    Freshness.NIGHT: ("夜间不看烟", "Night, no smoke watch"),
}
BLIND_REASONS: dict[BlindReason, tuple[str, str]] = {
    BlindReason.UNREACHABLE: ("无法连接", "Unreachable"),
    BlindReason.REFUSED: ("拒绝认证", "Credentials refused"),
    BlindReason.GARBAGE: ("数据无法解码", "Cannot be decoded"),
    BlindReason.FROZEN: ("画面冻结", "Picture frozen"),
    BlindReason.BLACK: ("画面全黑", "Picture black"),
    BlindReason.BLURRED: ("画面模糊", "Picture blurred"),
    BlindReason.STALE: ("画面滞后", "Picture stale"),
    BlindReason.MOVED: ("视角偏移", "View moved"),
    BlindReason.MODEL_FAILED: ("模型失效", "Model failed"),
    BlindReason.DARK: ("光线太暗", "Too dark"),
    BlindReason.INFRARED: ("红外画面", "Infrared picture"),
}
ROLES: dict[str, tuple[str, str]] = {
    "administrator": ("管理员", "Administrator"),
    "operator": ("值班员", "Operator"),
    "department": ("部门", "Department"),
    "grid_worker": ("网格员", "Grid worker"),
    "viewer": ("查看者", "Viewer"),
}


def text(table: Mapping[Any, tuple[str, str]], key: object, language: Language) -> str:
    """Return the name of ``key`` in a language, or the key itself where the table has none."""
    names = table.get(key)
    return names[LANGUAGES.index(language)] if names else str(key)
