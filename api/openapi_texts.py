"""What the OpenAPI document says in words: English first, then 简体中文."""

from typing import Final

from msgspec import Struct


class Said(Struct, frozen=True):
    """The same in both languages."""

    en: str
    zh: str

    @property
    def line(self) -> str:
        """On one line, for summaries and descriptions of a few words."""
        return f"{self.en} · {self.zh}"

    @property
    def paragraphs(self) -> str:
        """One paragraph after the other, in Markdown."""
        return f"{self.en}\n\n{self.zh}"


class Operation(Struct, frozen=True):
    """A route's words beside the summary that it has in the route list."""

    name: str
    """The operationId, after which generated clients name their functions."""
    zh: str
    """The summary."""
    more: Said | None = None
    answers: dict[int, Said] = {}
    """What a status means here, where it is not the usual."""


DESCRIPTION: Final = Said(
    """\
Members sign up for offerings whose seats are gone in seconds. Every seat is decided once, and is on disk before the
request is answered.

* **Who asks** is known from `Authorization: Bearer` alone. An operation names the roles that may call it.
* **Retries.** Send an `Idempotency-Key` with a sign-up: the retry of one that succeeded gets the same status and the
  same bytes, and a sign-up of which nothing is known is safe to repeat.
* **Order** is `seq`, the number of a change in its campaign, without gaps; never a clock.
* **Defaults** of a campaign document are left out of answers.
* **Refusals** are problem documents (RFC 9457), in the language of `Accept-Language`: zh-CN unless `en` is asked for.
  `code` says why, and is one of the table below. Of several that apply, the first counts, in the order of the table
  as far as `sold_out`.
* `HEAD` is answered wherever `GET` is; any other method gets 405 with `Allow`.""",
    """\
职工报名参加名额几秒内抢完的活动。每个席位只裁定一次，写入磁盘之后才答复。

* **身份**只看 `Authorization: Bearer`。每项操作写明哪些角色可以调用。
* **重试**：报名时请带 `Idempotency-Key`：报名成功后再次发送，得到同样的状态码和同样的内容；结果不明时可以放心重发。
* **先后**以 `seq` 为准，即批次内变更的连续编号，不看时钟。
* 批次文档中取默认值的字段，答复中省略。
* **拒绝**以问题文档（RFC 9457）答复，语言由 `Accept-Language` 决定：默认 zh-CN，可选 `en`。
  `code` 说明原因，见下表；有多个原因时取第一个，顺序同下表（至 `sold_out` 为止）。
* 凡支持 `GET` 的地址也支持 `HEAD`；其他方法得到 405 及 `Allow`。""",
)

TAGS: Final = {
    "campaigns": Said("Campaigns and their offerings, with live counts", "批次和活动，带实时名额"),
    "enrollments": Said("Signing up, and what one can do afterwards", "报名，以及报名之后的操作"),
    "codes": Said("Invitation codes, for those who manage an offering", "邀请码，供活动管理者使用"),
    "competitions": Said("Rounds, their results and who goes on", "竞赛：各轮成绩和晋级"),
    "draws": Said("Draws: what anybody can check of them", "抽签：人人都能核对的内容"),
    "rolls": Said("Receipts and rolls: what proves a seat", "凭证和公示册：席位的证明"),
    "headcounts": Said("How many people units have, for quotas", "各单位人数，用于分配名额"),
    "why": Said("Reasons, from what was recorded", "原因说明，取自记录"),
    "live": Said("The page that waits for the opening", "等待开抢的页面"),
    "ops": Said("For ops and machines", "供运维和监控使用"),
    "documents": Said("This description", "本说明"),
}

_EMPTY_BODY: Final = Said("The body is empty, or an empty object.", "请求内容为空，或为空对象。")
_AGAIN: Final = Said(
    f"{_EMPTY_BODY.en} Asked again, it answers the same.", f"{_EMPTY_BODY.zh}重复请求得到同样的答复。"
)
_OTHERS: Final = Said(
    "Another member's is the same 404 as none, except to officers of the campaign's unit or above.",
    "他人的报名与不存在的一样答复 404；批次所属单位及上级的干部除外。",
)

_MANAGED: Final = Said(
    "The caller is of the campaign's unit or of one above it.", "调用者须属于批次所属单位或其上级单位。"
)

OPERATIONS: Final = {
    "campaigns.publish": Operation(
        "publish_campaign",
        "发布批次文档",
        Said(
            "The document is validated whole, and a refusal names every bad path. It may change while a sale runs, "
            "and binds new decisions only. The caller is an organizer of the campaign's unit or of one above it. "
            "`If-Match` publishes only over the version that it names, `If-None-Match: *` only where there is none.",
            "文档整体校验，拒绝时列出每一处错误。报名期间也可以修改，只影响之后的裁定。"
            "调用者须是批次所属单位或其上级单位的组织者。"
            "带 `If-Match` 时只替换所指的版本，带 `If-None-Match: *` 时只在尚无文档时发布。",
        ),
        {
            200: Said(
                "In force, in place of another version or as before.", "已生效，替换了旧版本或与之前相同。"
            ),
            201: Said("In force: the campaign's first.", "已生效，为该批次的第一份。"),
        },
    ),
    "campaigns.listing": Operation("list_campaigns", "批次列表，带实时名额"),
    "campaigns.find": Operation("see_campaign", "查看批次，带实时名额"),
    "campaigns.find_offering": Operation("see_offering", "查看活动，带实时名额"),
    "competitions.import_results": Operation(
        "import_results",
        "导入一轮的成绩",
        Said(
            "A CSV file (UTF-8 or GB18030) or the first sheet of an XLSX workbook, at most 4 MiB and 20,000 rows. Its "
            "first row names the columns: `member`, `score`, and those of the round's `results.ties`. Nothing is kept "
            "unless every row is good; else `errors` names each by row and column, as `/17/score`. It takes the place "
            "of an earlier import until it is decided who goes on, and is `wrong_state` after that. With `dry_run` "
            f"nothing is kept. {_MANAGED.en}",
            "CSV 文件（UTF-8 或 GB18030）或 XLSX 的第一张工作表，不超过 4 MiB、20,000 行。首行为列名：`member`、"
            "`score` 以及该轮 `results.ties` 中的各列。只要有一行有误就什么也不保存，`errors` 按行和列逐一列出，"
            "如 `/17/score`。晋级确定之前，再次导入替换前一次；之后答复 `wrong_state`。带 `dry_run` 时不保存。"
            f"{_MANAGED.zh}",
        ),
    ),
    "competitions.results": Operation("list_results", "查看一轮的名次", _MANAGED),
    "competitions.mine": Operation("see_own_result", "查看本人在一轮中的成绩和名次"),
    "competitions.advance": Operation(
        "advance_round",
        "确定晋级下一轮的人员",
        Said(
            "From here on the results of this round do not change, and the engine enrols those who go on. Asked again, "
            f"it says how far it is. `wrong_state` while sign-up is open, without results, and for the last round. "
            f"{_EMPTY_BODY.en} {_MANAGED.en}",
            "此后本轮成绩不再变更，由系统为晋级者报名。重复请求可查看进度。"
            f"报名未截止、尚无成绩或已是最后一轮时答复 `wrong_state`。{_EMPTY_BODY.zh}{_MANAGED.zh}",
        ),
        {
            200: Said("All who go on are enrolled.", "晋级者均已报名。"),
            202: Said("Decided; those who go on are being enrolled.", "已确定，正在为晋级者报名。"),
        },
    ),
    "competitions.nominations": Operation(
        "export_nominations",
        "导出奖牌提名（CSV）",
        Said(
            "The first of the ranking, as many as `medals` says. A cell that a spreadsheet would take for a formula "
            f"begins with an apostrophe. {_MANAGED.en}",
            f"按名次列出 `medals` 规定的人数。会被表格软件当作公式的内容以单引号开头。{_MANAGED.zh}",
        ),
    ),
    "draws.find": Operation(
        "see_draw",
        "查看抽签（结束之后）",
        Said(
            "Offerings that stop collecting at the same moment are one draw. Members appear by pseudonym. The order "
            "follows from the seed, to which the campaign committed before the first entry with `draw.commitment`; "
            "`seatrush verify-draw` recomputes all of it from this file.",
            "同一时刻停止收集报名的活动合为一次抽签。职工以化名出现。顺序由种子决定，对种子的承诺在首个报名之前就以 "
            "`draw.commitment` 公布；`seatrush verify-draw` 可仅凭此文件重新算出全部结果。",
        ),
    ),
    "draws.mine": Operation(
        "see_own_draw",
        "查看本人在抽签中的化名、权重和结果的原因",
        Said(
            "The pseudonym finds one's own entry and results in the draw's file. `weight` follows from the campaign's "
            "`weights` and from the unit's other draws. After the draw it says why: one's place in the order, and for "
            "each wish how many wished the same and at which place the seats ended.",
            "凭化名可在抽签文件中找到本人的报名和结果。`weight` 由批次的 `weights` 和本单位其他抽签的结果得出。"
            "抽签后说明原因：本人的抽签次序，以及每个志愿有多少人报、名额到第几位为止。",
        ),
    ),
    "enrollments.sign_up": Operation(
        "sign_up",
        "报名",
        Said(
            "An empty body, or `{}`, tries every pool for which the member is eligible, in the order of the document; "
            "`pool` asks for one only. In a draw `wish` is the rank of this wish among one's own, 1 first; "
            "without it, it comes after those that are entered. `code` is an invitation code: it opens its pool, "
            "beside those for which the member is eligible, and one that opens nothing is `not_eligible` with a "
            "`reason`. `party` and `member` are reserved. After a cancellation, no key or a new one signs up again.",
            "请求内容为空或 `{}` 时，按文档顺序尝试职工符合条件的各个名额池；`pool` 指定只要其中一个。"
            "抽签活动中，`wish` 是本志愿在本人各志愿中的次序，1 为首选；不填则排在已报志愿之后。"
            "`code` 是邀请码：除职工符合条件的名额池外，另打开邀请码所指的名额池；无效时为 `not_eligible`，"
            "原因见 `reason`。`party`、`member` 为保留字段。取消之后，不带键或带新的键可以重新报名。",
        ),
        {
            200: Said("Already in: the enrollment as it stands.", "已经报名，返回当前状态。"),
            201: Said("Confirmed: a seat is taken.", "报名成功，已有席位。"),
            202: Said(
                "`held` until it is confirmed, `waitlisted`, or `entered` in a draw.",
                "已暂留（`held`）待确认、已候补（`waitlisted`）或已参加抽签（`entered`）。",
            ),
        },
    ),
    "codes.issue": Operation(
        "issue_codes",
        "发放邀请码",
        Said(
            "A code opens the pool to its holder, for as many enrollments at a time as it has `uses`. **The codes are "
            "in this answer and can never be read again**: only their ids are kept. When an answer is lost, issue "
            f"others, and revoke what is listed in excess. {_MANAGED.en}",
            "邀请码为持有者打开该名额池，`uses` 为同时有效的报名数上限。**邀请码只在本次答复中出现，以后无法再读取**，"
            f"系统只保存其编号。未收到答复时请另行发放，并在列表中撤销多余的邀请码。{_MANAGED.zh}",
        ),
    ),
    "codes.listing": Operation(
        "list_codes",
        "邀请码列表",
        Said(
            f"By id, in the order of issue, with how often each is used at the moment. {_MANAGED.en}",
            f"按发放顺序列出编号和当前的使用次数。{_MANAGED.zh}",
        ),
    ),
    "codes.revoke": Operation(
        "revoke_code",
        "撤销邀请码",
        Said(
            "It opens nothing any more; enrollments that came in by it stay. Asked again, it changes nothing. "
            f"{_MANAGED.en}",
            f"撤销后不再有效；已凭此码的报名保留。重复请求不再有变化。{_MANAGED.zh}",
        ),
    ),
    "enrollments.roster": Operation(
        "list_roster",
        "名单：谁已报上，谁在候补",
        Said(
            "Who is in, then who waits, each in the order of `seq`, or of the draw, as the ledger has it: some moments "
            "behind. The caller is of the campaign's unit or of one above it.",
            "先是已报上的，再是候补的，各按 `seq`（抽签候补按抽签次序）排列；取自台账，可能略有延迟。"
            "调用者须属于批次所属单位或其上级单位。",
        ),
    ),
    "enrollments.find": Operation("see_enrollment", "查看报名", _OTHERS),
    "why.enrollment": Operation(
        "explain_enrollment",
        "查看报名的来龙去脉",
        Said(
            "Each change of the enrollment with its `seq`, who caused it, and where it stands in the queue or stood in "
            "the draw. Of others there are counts only. It is told from the ledger's log as far as `as_of_seq`, the "
            f"newest recorded. {_OTHERS.en}",
            "列出报名的每次变化及其 `seq`、由谁引起，以及候补位次或抽签次序。涉及他人的只有人数。"
            f"取自台账截至 `as_of_seq`（最新已记录的序号）的记录。{_OTHERS.zh}",
        ),
    ),
    "why.refusal": Operation(
        "explain_refusal",
        "查看报名被拒的原因",
        Said(
            "The guard that applied as of the `as_of_seq` which the refusal named, by the ledger's log: which rule, "
            "capacity and seats taken, when the last seat was given, who was ahead, and what may come next. Attributes "
            "are those of the token that asks. Without `as_of_seq` it is about the newest recorded seq. `docs/why.md` "
            "has the details.",
            "按台账记录，说明在拒绝所给的 `as_of_seq` 时适用的规则：哪一条、名额与占用、最后一个名额何时给出、"
            "之前有多少人，以及之后的机会。身份信息取自本次请求的令牌。不带 `as_of_seq` 时，以最新已记录的序号为准。"
            "详见 `docs/why.md`。",
        ),
    ),
    "enrollments.cancel": Operation(
        "cancel_enrollment",
        "取消报名",
        Said(
            "Frees the seat and promotes the first who waits and is eligible, in the same step. Asked again, it "
            f"answers with the same bytes. {_OTHERS.en}",
            f"同一步内释放席位，并由候补中第一位符合条件的人递补。重复请求得到同样的内容。{_OTHERS.zh}",
        ),
    ),
    "enrollments.confirm": Operation("confirm_enrollment", "确认暂留或递补的席位", _AGAIN),
    "enrollments.decline": Operation("decline_enrollment", "放弃暂留或递补的席位", _AGAIN),
    "enrollments.mine": Operation("list_my_enrollments_of_campaign", "本人在该批次的有效报名"),
    "enrollments.mine_everywhere": Operation(
        "list_my_enrollments",
        "本人在所有批次的报名",
        Said(
            "The newest first, as the ledger has them: some moments behind.",
            "最新的在前；取自台账，可能略有延迟。",
        ),
    ),
    "headcounts.report": Operation(
        "report_headcounts",
        "上报各单位人数",
        Said(
            "All of them or none: a unit that is named has this headcount from now on, the others keep theirs. Every "
            "unit is the caller's own or below it, else nothing is done and the answer is `forbidden`. Offerings "
            "with `quotas` follow the headcounts until `quotas.recomputed`, by default a minute before they open. A "
            "unit's headcount is its own: those of the units below it are not added up.",
            "整体生效或整体不生效：列出的单位自此为所报人数，其余不变。各单位须为调用者本单位或其下级，"
            "否则不作任何更改，答复 `forbidden`。带 `quotas` 的活动在 `quotas.recomputed`（默认开放前一分钟）"
            "之前随人数调整名额池。单位的人数以其自身所报为准，不由下级累加。",
        ),
        {
            200: Said(
                "Reported; `changed` are not what they were.", "已上报；`changed` 为与之前不同的单位数。"
            )
        },
    ),
    "headcounts.listing": Operation(
        "list_headcounts",
        "查看各单位人数",
        Said(
            "Of the caller's own unit and those below it, in the order of their names; `unit` narrows it down.",
            "本单位及其下级，按单位路径排列；可用 `unit` 缩小范围。",
        ),
    ),
    "rolls.receipt": Operation(
        "see_receipt",
        "领取席位凭证",
        Said(
            "Of a confirmed seat; `wrong_state` for any other, `not_ready` until the ledger has recorded it. It is "
            "signed, and names the digest that the campaign's roll had come to: `seatrush verify-receipt` checks it, "
            "and `seatrush verify-roll --receipt` finds its seat in the roll. `docs/roll.md` has the details. "
            f"{_OTHERS.en}",
            "只为已确认的席位出具，其他状态答复 `wrong_state`，台账尚未记录时答复 `not_ready`。凭证带签名，"
            "并写明当时公示册的摘要：`seatrush verify-receipt` 可核对凭证，`seatrush verify-roll --receipt` "
            f"可在公示册中找到该席位。详见 `docs/roll.md`。{_OTHERS.zh}",
        ),
    ),
    "rolls.roll": Operation(
        "download_roll",
        "下载批次的公示册",
        Said(
            "One JSON object a line: a heading, a line for each event of the campaign that the ledger has recorded, "
            "and the signed head. Members appear by pseudonym. `seatrush verify-roll` recomputes the chain of digests, "
            "and whether every seat was held by one at a time. A file that was not sent to its end has no head.",
            "每行一个 JSON 对象：首行为册头，其后每个已记入台账的事件一行，末行为带签名的册尾。职工以化名出现。"
            "`seatrush verify-roll` 重新计算摘要链，并核对每个席位同一时刻只属于一人。未传完的文件没有册尾。",
        ),
    ),
    "rolls.head": Operation(
        "see_roll_head",
        "查看公示册当前的摘要",
        Said(
            "Note it down: with it, `seatrush verify-roll --head` tells later whether any line up to `seq` was added, "
            "left out or changed.",
            "请记下：日后以 `seatrush verify-roll --head` 可查出 `seq` 及之前是否有任何一行被增加、删去或更改。",
        ),
    ),
    "rolls.key": Operation("see_receipt_key", "查看凭证和册尾的公钥"),
    "live.live": Operation(
        "connect_live",
        "以 WebSocket 关注和报名",
        Said(
            "For the page that waits for the opening. The token comes with the handshake, or within ten seconds as "
            '`{"op":"auth","token":…}`. A client sends `watch`, `sign_up`, `cancel`, `confirm`, `decline`; it is sent '
            "`counts` and `opened` of what it watches, a `result` for each message with an `id`, `changed` when "
            "something happens to an enrollment of its own, and `error`. `docs/live.md` has every message.",
            '供等待开抢的页面使用。令牌随握手发送，或在十秒内以 `{"op":"auth","token":…}` 发送。'
            "客户端发送 `watch`、`sign_up`、`cancel`、`confirm`、`decline`；"
            "服务端发送所关注活动的 `counts` 和 `opened`、对带 `id` 的消息的答复 `result`、"
            "本人报名发生变化时的 `changed`，以及 `error`。各消息见 `docs/live.md`。",
        ),
    ),
    "ops.status": Operation("see_status", "系统运行状况"),
    "ops.healthz": Operation("check_liveness", "进程是否存活"),
    "ops.readyz": Operation("check_readiness", "是否可以裁定报名"),
    "ops.expose_metrics": Operation("see_metrics", "Prometheus 指标"),
    "documents.openapi_json": Operation("see_description", "本说明"),
    "documents.viewer": Operation("view_description", "本说明的浏览页面"),
}
"""By the module and name of the route's handler."""

ANSWERS: Final = {
    101: Said("A WebSocket from here on", "此后为 WebSocket"),
    200: Said("Done", "成功"),
    201: Said("Created", "已创建"),
    202: Said("Accepted", "已受理"),
    304: Said("What the client has is current", "客户端已有的内容仍是最新"),
}

PARAMETERS: Final = {
    "campaign": Said("The campaign", "批次"),
    "offering": Said("The offering", "活动"),
    "enrollment": Said("The enrollment", "报名"),
    "code": Said("The id of an invitation code", "邀请码的编号"),
    "unit": Said("This unit and those below it", "此单位及其下级"),
    "limit": Said("How many entries a page has at most", "每页最多条数"),
    "cursor": Said("`next` of the page before, for the page after it", "取自前一页的 `next`，用于请求后一页"),
    "dry_run": Said("Whether to say what would be so, and keep nothing", "只说明结果，不保存"),
    "as_of_seq": Said("As the refusal named it", "拒绝答复中所给的值"),
    "refused_as": Said("The `code` of the refusal", "拒绝答复中的 `code`"),
    "pool": Said("The one pool that was asked for", "当时指定的名额池"),
    "Idempotency-Key": Said(
        "Makes a retry safe: 1 to 64 visible ASCII characters, new for each intent. Of one member and campaign; the "
        "same key for another offering or pool is `key_reused`.",
        "使重试不会重复报名：1 至 64 个可见 ASCII 字符，每次新的意图换一个。"
        "按职工和批次区分；同一键用于另一活动或名额池时为 `key_reused`。",
    ),
    "If-Match": Said(
        "Entity tags, or `*`: publish only over one of these", "实体标签或 `*`：仅替换其中所指的版本"
    ),
    "If-None-Match": Said("Entity tags that the client has, or `*`", "客户端已有的实体标签，或 `*`"),
    "Accept-Language": Said("The language of refusals", "拒绝答复所用的语言"),
}

HEADERS: Final = {
    "Location": Said("Where it can be seen", "查看地址"),
    "ETag": Said("The entity tag", "实体标签"),
    "Retry-After": Said("Seconds after which to try again", "多少秒后可重试"),
    "WWW-Authenticate": Said("How to authenticate (RFC 6750)", "认证方式（RFC 6750）"),
    "Allow": Said("The methods that the address takes", "该地址支持的方法"),
    "Content-Language": Said("The language of the text", "文字所用的语言"),
}

ROLES: Final = Said("Roles", "角色")
ANYONE: Final = Said("Anyone may call, without a token.", "无需令牌，任何人可调用。")
BEARER: Final = Said(
    "A JWT with `sub` (opaque member id), `aud` = `seatrush`, `exp`, and optionally `unit` (dotted path), `industry`, "
    "`tags`, and `roles`: any of `member` (the default), `officer`, `organizer`, `ops`. Signed with HS256 by the "
    "deployment's secret, or with RS256, ES256 or EdDSA by a key of its issuer. An officer or organizer acts within "
    "`unit` and below.",
    "JWT，含 `sub`（职工的不透明编号）、`aud` = `seatrush`、`exp`，可含 `unit`（以点分隔的单位路径）、`industry`、"
    "`tags` 和 `roles`：`member`（默认）、`officer`、`organizer`、`ops` 中的若干个。以部署密钥按 HS256 签名，"
    "或以签发方密钥按 RS256、ES256、EdDSA 签名。干部和组织者的权限限于 `unit` 及其下级。",
)
