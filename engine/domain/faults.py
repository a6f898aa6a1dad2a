"""Faults: what is wrong with an input, each at its place, as data that can be said in either language.

No fault quotes a value of the input, which may be personal; names of fields appear, shortened and printable.
"""

from typing import Final, Literal

from msgspec import Struct

Language = Literal["zh", "en"]
Path = tuple["Path", str | int] | None
"""A place in the input, as a chain from the leaf to the root, so that walking costs little; None is the root."""

FAULTS_MAX: Final = 1_000
FIELD_NAME_MAX: Final = 64


class Fault(Struct, frozen=True):
    """One thing that is wrong at one place.

    `path` is a JSON Pointer (RFC 6901), "" for the whole. `code` is a row of the table below, `parameters` are
    what its sentences need.

    A parser puts a Fault in the place of a value that it must refuse; `shapes` then reports it there, with its
    path, beside all others.
    """

    path: str
    code: str
    parameters: dict[str, str | float] = {}


class Found:
    """Collects faults; beyond FAULTS_MAX they are only counted."""

    def __init__(self) -> None:
        self.count = 0
        self._listed: list[Fault] = []

    def add(self, path: Path, code: str, **parameters: str | float) -> None:
        """Note one fault."""
        self.count += 1
        if self.count <= FAULTS_MAX:
            self._listed.append(Fault(pointer(path), code, parameters))

    def place(self, path: Path, fault: Fault) -> None:
        """Note a fault that has no path yet."""
        self.add(path, fault.code, **fault.parameters)

    def faults(self) -> list[Fault]:
        """All that were listed; the last entry says how many more there are, if there are."""
        more = self.count - len(self._listed)
        return [*self._listed, Fault("", "more_faults", {"more": more})] if more else list(self._listed)


def fault(code: str, **parameters: str | float) -> Fault:
    """A fault that has no path yet."""
    return Fault("", code, parameters)


def pointer(path: Path) -> str:
    """A path as JSON Pointer."""
    segments: list[str] = []
    while path is not None:
        path, key = path
        segment = field_name(key) if isinstance(key, str) else str(key)
        segments.append("/" + segment.replace("~", "~0").replace("/", "~1"))
    return "".join(reversed(segments))


def field_name(name: str) -> str:
    """A name of the input, fit to be shown: at most FIELD_NAME_MAX characters, all printable."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:FIELD_NAME_MAX])


def text(fault: Fault, language: Language) -> str:
    """The sentence for a fault. Raises KeyError for a code that is not in the table."""
    zh, en = TEXTS[fault.code]
    return (zh if language == "zh" else en).format_map(fault.parameters)


TEXTS: Final[dict[str, tuple[str, str]]] = {
    # The document as a whole.
    "document_too_large": (
        "文件不得超过 {bytes_max} 字节。",
        "A document must not exceed {bytes_max} bytes.",
    ),
    "not_utf8": ("编码必须是 UTF-8。", "The encoding must be UTF-8."),
    "syntax": ("第 {line} 行第 {column} 列有语法错误。", "Syntax error at line {line}, column {column}."),
    "too_deep": ("嵌套不得超过 {depth_max} 层。", "Nesting must not exceed {depth_max} levels."),
    "yaml_alias": (
        "第 {line} 行第 {column} 列：不支持 YAML 锚点和别名。",
        "Line {line}, column {column}: anchors and aliases of YAML are not accepted.",
    ),
    "yaml_tag": (
        "第 {line} 行第 {column} 列：不支持 YAML 标签。",
        "Line {line}, column {column}: tags of YAML are not accepted.",
    ),
    "yaml_key": (
        "第 {line} 行第 {column} 列：键必须是字符串。",
        "Line {line}, column {column}: a key must be a string.",
    ),
    "yaml_documents": (
        "第 {line} 行第 {column} 列：一个文件只能包含一份文档。",
        "Line {line}, column {column}: a file holds one document only.",
    ),
    "more_faults": ("另有 {more} 处错误未列出。", "{more} more faults are not listed."),
    # What a parser refuses at its place.
    "duplicate_key": ("同一个字段出现了多次。", "This field is given more than once."),
    "not_finite": ("必须是有限的数。", "Must be a finite number."),
    "number_too_long": ("数字的位数过多。", "This number has too many digits."),
    "number_form": (
        "请写成普通十进制数；若为文字，请加引号。",
        "Write a plain decimal number, or put it in quotes if it is text.",
    ),
    # Shapes.
    "missing": ("缺少此字段。", "This field is required."),
    "unknown_field": ("没有名为“{field}”的字段。", 'There is no field named "{field}".'),
    "not_an_object": ("必须是对象。", "Must be an object."),
    "not_a_list": ("必须是列表。", "Must be a list."),
    "too_few": ("至少要有 {min} 项。", "Must have at least {min} entries."),
    "too_many": ("最多只能有 {max} 项。", "Must have at most {max} entries."),
    "not_a_string": (
        "必须是字符串（在 YAML 中，数字、yes、no 等文字须加引号）。",
        "Must be a string (in YAML, text such as a number, yes or no needs quotes).",
    ),
    "too_short": ("至少要有 {min} 个字符。", "Must have at least {min} characters."),
    "too_long": ("最多只能有 {max} 个字符。", "Must have at most {max} characters."),
    "control_character": ("不得含有控制字符。", "Must not contain control characters."),
    "surrogate": ("含有不成对的代理码位。", "Must not contain lone surrogates."),
    "not_an_id": (
        "必须由 1 至 64 个小写字母、数字或连字符组成，且不以连字符开头。",
        "Must be 1 to 64 lower-case letters, digits and hyphens, and not begin with a hyphen.",
    ),
    "not_a_unit": (
        "必须是以点分隔的单位路径，最多十段，例如 xicheng.finance。",
        "Must be a dotted path of at most ten segments, such as xicheng.finance.",
    ),
    "pattern": ("格式必须符合 {pattern}。", "Must match {pattern}."),
    "not_one_of": ("必须是以下之一：{allowed}。", "Must be one of: {allowed}."),
    "not_an_integer": ("必须是整数。", "Must be an integer."),
    "not_a_number": ("必须是数字。", "Must be a number."),
    "too_small": ("不得小于 {min}。", "Must be at least {min}."),
    "too_large": ("不得大于 {max}。", "Must be at most {max}."),
    "not_a_boolean": ("必须是 true 或 false。", "Must be true or false."),
    "not_an_instant": (
        "必须是带时区的时刻，例如 2026-11-28T10:00:00+08:00；seatrush apply 的文件中也可写 +10m、-1d（s、m、h、d）。",
        "Must be an instant such as 2026-11-28T10:00:00+08:00; for seatrush apply also +10m, -1d (s, m, h, d).",
    ),
    "no_offset": (
        "时刻必须带有时区，例如 2026-11-28T10:00:00+08:00。",
        "An instant needs its offset from UTC, such as 2026-11-28T10:00:00+08:00.",
    ),
    "not_a_date": ("必须是日期，例如 2026-12-31。", "Must be a date, such as 2026-12-31."),
    "year": ("年份必须在 {first} 至 {last} 之间。", "The year must be from {first} to {last}."),
    # Rules of a campaign document.
    "duplicate": ("与 {first} 重复。", "Is the same as {first}."),
    "not_before": ("必须早于 {other}。", "Must be before {other}."),
    "not_after_the_last": ("必须晚于前一项。", "Must be after the one before it."),
    "no_units_to_merge": (
        "分阶段合并是放宽 eligible.units，本名额池没有填写。",
        "Merges widen eligible.units, which this pool does not have.",
    ),
    "within_another": (
        "与 {other} 相同或在其之内；每名职工只能计入一个名额池。",
        "Is the same as {other}, or within it: a member counts for one pool.",
    ),
    "unit_too_long": (
        "名额池的编号由单位路径得出，不得超过 {max} 个字符。",
        "A unit's path becomes the id of its pool: at most {max} characters.",
    ),
    "same_pool": (
        "得出的名额池编号“{pool}”与 {first} 的相同。",
        'Makes the same pool as {first}, "{pool}".',
    ),
    "nothing_above": (
        "所列单位都没有更上一级可合并。",
        "None of the units has so many above it to merge with.",
    ),
    "not_of_quotas": (
        "填写 quotas 时，名额池由系统得出，请不要填写 pools。",
        "Where there are quotas the pools are made from them: leave pools out.",
    ),
    "after_last_session": (
        "不得晚于最后一次活动的结束时间。",
        "Must not be after the end of the last session.",
    ),
    "not_together": ("必须与 {other} 同时填写。", "Must be given together with {other}."),
    "policy_not_available": (
        "没有此规则，可用的有：{available}。",
        "There is no such policy; there are: {available}.",
    ),
    "party_not_available": (
        "party_max 大于 1 尚未提供。",
        "A party_max above 1 is not available yet.",
    ),
    "not_of_policy": (
        "规则 {policy} 没有此项。",
        "The policy {policy} has no such field.",
    ),
    "no_draw": (
        "本批次没有抽签，不需要权重。",
        "This campaign has no draw for which weights would count.",
    ),
    "after_close": ("不得晚于报名截止。", "Must not be after sign-up closes."),
    "not_after_opening": ("必须晚于报名开始。", "Must be after sign-up opens."),
    "no_poll": (
        "本批次没有征集意向的活动，不需要票数上限。",
        "This campaign has no poll for which votes would count.",
    ),
    "no_such_offering": ("没有活动“{name}”。", 'There is no offering "{name}".'),
    "never_so_many": (
        "“{of}”的候补名额（waitlist.size_max）没有这么多。",
        'The waitlist of "{of}" has not so many places: see its size_max.',
    ),
    "no_second_class": (
        "第二班之后不能再设第二班；由上一轮晋级的活动也不能。",
        "Neither a second class nor a round that members advance to has a second class.",
    ),
    "grace_too_long": (
        "宽限期必须在报名截止前结束。",
        "The grace window must end before sign-up closes.",
    ),
    "intents_without_grace": (
        "只有设有宽限期（grace_s）的活动才能预先登记。",
        "Intents are for offerings with a grace window: grace_s is missing.",
    ),
    "not_a_competition": (
        "晋级、成绩和奖牌只用于 competition。",
        "Only a competition has results, medals, or seats by advancement.",
    ),
    "no_medal": ("至少要有一枚奖牌。", "There must be at least one medal."),
    "reserved_column": ("“{name}”列另有用途。", 'The column "{name}" has another meaning.'),
    "blanks_around": (
        "前后不得有空白，表格的列名会去掉空白。",
        "Must not have blanks around it: no column of a file is read with them.",
    ),
    "not_an_earlier_round": (
        "必须是本批次中排在前面的活动。",
        "Must be an offering that stands earlier in the campaign.",
    ),
    "no_results_rule": (
        "“{round}”由此晋级，须写明 results。",
        'Its best go on to "{round}", so it needs results.',
    ),
    "not_in_a_round": (
        "各轮的名额池须事先写明并保持不变，不能用此项。",
        "The pools of rounds are stated and kept: this has no place in a round.",
    ),
    "units_alone": (
        "晋级的名额池只能按单位限定。",
        "Who advances has been eligible before: only units tell whose quota a pool is.",
    ),
    "leads_nowhere": (
        "“{round}”没有名额池包含此池的单位。",
        'No pool of "{round}" contains the units of this one.',
    ),
    "leads_to_several": (
        "“{round}”有多个名额池包含此池的单位：{pools}。",
        'Several pools of "{round}" contain the units of this one: {pools}.',
    ),
    "before_the_round_before": (
        "不得早于上一轮“{round}”结束。",
        'Must not begin before the end of "{round}", from which one advances.',
    ),
    # Rows of results.
    "not_a_workbook": (
        "无法读取此 XLSX 文件，或文件过大。",
        "This is no XLSX workbook that can be read, or what it holds is too large.",
    ),
    "too_much_in_it": (
        "工作簿的单元格、格式或其他内容过多。请把成绩复制到新的工作簿，或另存为 CSV。",
        "The workbook has too many cells, formats or other things in it: copy the results to a new one, or use CSV.",
    ),
    "not_csv": ("第 {line} 行不是有效的 CSV。", "Line {line} is not valid CSV."),
    "no_rows": (
        "须有一行列名，其下每行一个成绩。",
        "There must be a row that names the columns, and below it a row for each result.",
    ),
    "no_header": ("此单元格所在的列没有列名。", "This cell is in a column without a name."),
    "formula": ("不得是公式，请粘贴为数值。", "Must not be a formula: paste its value."),
    "not_a_member_id": (
        "必须是 1 至 64 个可见的 ASCII 字符。",
        "Must be the id of a member, 1 to 64 visible ASCII characters.",
    ),
    "no_seat": ("此职工在本轮没有已确认的名额。", "This member has no confirmed seat in this round."),
    # Rules that only the ledger or the live campaign knows.
    "too_large_with_pools": (
        "由 quotas 得出名额池之后，文件不得超过 {bytes_max} 字节。",
        "With the pools that quotas make, the document must not exceed {bytes_max} bytes.",
    ),
    "no_headcount": (
        "单位“{unit}”尚未上报人数。",
        'No headcount of "{unit}" is known: report it first.',
    ),
    "nobody_there": (
        "所列单位的人数都是零，无法分配名额。",
        "The headcounts of these units are all zero: there is nobody to share the seats among.",
    ),
    "below_live_seats": (
        "不得小于已占用的最大座位号 {seat}。",
        "Must not be below {seat}, the highest seat number that is taken.",
    ),
    "has_live_enrollments": (
        "“{name}”仍有有效报名，不能移除。",
        '"{name}" has live enrollments and cannot be removed.',
    ),
    "has_queued": (
        "“{name}”有人等待抽签或候补，不能更改规则。",
        '"{name}" has members who wait, for a draw or a seat: its policy cannot be changed.',
    ),
    "has_members": (
        "“{name}”已有有效报名，不能改成晋级的轮次，也不能从轮次改成其他规则。",
        '"{name}" has live enrollments: it can neither become a round that members advance to nor cease to be one.',
    ),
    "has_advancing": (
        "“{name}”的晋级已确定，尚未全部录入：在此之前不能移除或更改。",
        'It is decided who goes on from "{name}", and not all are enrolled: until then this has to stay.',
    ),
    "has_queued_by_stages": (
        "“{name}”有人等待，合并的单位和次序不能更改，只能更改时间。",
        'In "{name}" there are members who wait: the units of merges stay as they are, only their times may change.',
    ),
    "not_of_the_unit": (
        "必须是批次所属单位 {unit} 或其下级。",
        "Must be the campaign's unit, {unit}, or below it.",
    ),
    "draw_is_over": (
        "该活动已经抽签，不能再登记抽签。",
        "This offering has had its draw: it cannot collect entries again.",
    ),
    # Invitation codes.
    "takes_no_codes": (
        "该活动没有可用邀请码的这个名额池。",
        "The offering has no pool of this name that invitation codes open.",
    ),
    "not_to_come": ("必须是将来的时刻。", "Must be a moment that is still to come."),
    "too_many_codes": (
        "一项活动最多只能有 {max} 个邀请码。",
        "An offering has at most {max} invitation codes.",
    ),
    "not_a_code": (
        "必须是 20 位邀请码，例如 XXXXX-XXXXX-XXXXX-XXXXX。",
        "Must be an invitation code of 20 characters, such as XXXXX-XXXXX-XXXXX-XXXXX.",
    ),
    "not_a_code_id": (
        "必须是邀请码的编号，即 32 个十六进制数字。",
        "Must be the id of an invitation code: 32 hex digits.",
    ),
    # Headcounts.
    "not_the_columns": (
        "各列须为 {columns}。",
        "The columns must be {columns}.",
    ),
    # Requests.
    "nothing_drawn": ("此活动不抽签。", "This offering is not given by a draw."),
    "not_a_key": (
        "必须是 1 至 64 个可见的 ASCII 字符。",
        "Must be 1 to 64 visible ASCII characters.",
    ),
    "seq_to_come": (
        "本批次还没有这个序号。",
        "The campaign has not come to this seq.",
    ),
    "not_available": ("此字段尚未提供。", "This field is not available yet."),
    "not_a_cursor": ("必须是前一页的 next。", "Must be the next of the page before."),
    "not_a_websocket": (
        "请以 WebSocket（RFC 6455，版本 13）连接。",
        "Connect by WebSocket (RFC 6455, version 13).",
    ),
    "other_campaign": ("必须与地址中的批次相同。", "Must be the campaign that the address names."),
}
"""code: (zh, en)."""
