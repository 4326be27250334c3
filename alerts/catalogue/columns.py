"""The columns of a catalogue's table: one row is one flow, with the names of its item and category."""

from __future__ import annotations

from alerts.sheets import Column

FLOW_COLUMNS = (
    Column("category", "大类代码", required=True),
    Column("category_zh", "大类名称", required=True, prose=True),
    Column("category_en", "大类英文名称", prose=True),
    Column("item", "小类代码", required=True),
    Column("item_zh", "小类名称", required=True, prose=True),
    Column("item_en", "小类英文名称", prose=True),
    Column("kinds", "告警类型"),
    Column("flow", "流程代码", required=True),
    Column("zh", "流程名称", required=True, prose=True),
    Column("en", "流程英文名称", prose=True),
    Column("severity", "严重程度", required=True),
    Column("condition_zh", "立案条件", required=True, prose=True),
    Column("condition_en", "立案条件英文", prose=True),
    Column("verify", "是否核实", required=True),
    Column("department", "主管部门", required=True, prose=True),
    Column("along", "协同部门", prose=True),
    Column("accept", "受理时限", required=True),
    Column("arrive", "到场时限"),
    Column("close", "结案时限", required=True),
    Column("criterion_zh", "结案标准", required=True, prose=True),
    Column("criterion_en", "结案标准英文", prose=True),
    Column("notify", "通知"),
)
DEPARTMENT_COLUMNS = (
    Column("id", "部门代码", required=True, prose=True),
    Column("zh", "部门名称", required=True, prose=True),
    Column("en", "部门英文名称", prose=True),
)
FLOW_SHEETS = ("flows", "流程")
DEPARTMENT_SHEETS = ("departments", "部门")
