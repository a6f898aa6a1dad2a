"""The one list of routes: the application, the OpenAPI document and the tests of roles are made from it."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from msgspec import Struct

from api import views
from api.call import Call
from api.handlers import (
    campaigns,
    codes,
    competitions,
    documents,
    draws,
    enrollments,
    headcounts,
    live,
    ops,
    rolls,
    why,
)
from engine.domain.campaign import Campaign
from engine.domain.draw import Draw
from engine.domain.headcounts import Headcounts
from engine.domain.invitation import Terms
from engine.domain.person import Role
from engine.domain.receipt import Head, Receipt


class Route(Struct, frozen=True):
    """One call of the contract."""

    method: str
    path: str
    handler: Callable[[Call], Awaitable[web.StreamResponse]]
    summary: str
    answers: dict[int, object]
    """Successful statuses with the type of their body: a Struct, a media type, or None for no body."""
    roles: frozenset[Role] = frozenset()
    """Who may call; empty for anyone, without a token."""
    refusals: tuple[str, ...] = ()
    """Codes of the outcome table, other than those that every such route may answer with."""
    body: type[Struct] | None = None
    takes: tuple[str, ...] = ()
    """Media types of a body that is a file."""
    body_required: bool = False
    idempotent_by_key: bool = False
    paged: bool = False
    filters: tuple[str, ...] = ()
    """Query parameters beside those of a page."""
    cached: bool = False
    """Whether it answers with an entity tag, and 304 to If-None-Match."""
    conditional: bool = False
    """Whether it looks at If-Match and If-None-Match before it changes anything."""
    metered_by_offering: bool = False
    """Whether the limit per member counts it for each offering apart."""

    @property
    def limited(self) -> bool:
        """Whether rate limits hold for it: not for what machines and browsers ask beside the contract's calls."""
        return self.path.startswith(VERSIONED)


VERSIONED: Final = "/v1/"

MEMBER: Final = frozenset[Role]({"member"})
OFFICER: Final = frozenset[Role]({"officer"})
ORGANIZER: Final = frozenset[Role]({"organizer"})
OPS: Final = frozenset[Role]({"ops"})

CAMPAIGN: Final = "/v1/campaigns/{campaign}"
OFFERING: Final = CAMPAIGN + "/offerings/{offering}"
CODES: Final = OFFERING + "/codes"
ROLL: Final = CAMPAIGN + "/roll"
ENROLLMENT: Final = CAMPAIGN + "/enrollments/{enrollment}"
HEADCOUNTS: Final = "/v1/headcounts"

_DECIDED: Final = ("not_found", "overloaded", "unknown")
_BODY: Final = ("too_large", "timeout", "unsupported_media_type")

ROUTES: Final = (
    Route(
        "PUT", CAMPAIGN, campaigns.publish, "Publish a campaign document",
        {201: views.Publication, 200: views.Publication}, ORGANIZER,
        ("invalid", "precondition_failed", "unknown", *_BODY),
        body=Campaign, body_required=True, conditional=True,
    ),
    Route(
        "GET", "/v1/campaigns", campaigns.listing, "List the campaigns with live counts",
        {200: views.CampaignList}, refusals=("invalid",), paged=True, cached=True,
    ),
    Route(
        "GET", CAMPAIGN, campaigns.find, "See a campaign with live counts",
        {200: views.CampaignView}, refusals=("invalid", "not_found"), cached=True,
    ),
    Route(
        "GET", OFFERING, campaigns.find_offering, "See an offering with live counts",
        {200: views.OfferingView}, refusals=("invalid", "not_found"), cached=True,
    ),
    Route(
        "GET", OFFERING + "/draw", draws.find, "See the draw of an offering, once it is over",
        {200: Draw}, refusals=("invalid", "not_found"), cached=True,
    ),
    Route(
        "GET", OFFERING + "/draw/me", draws.mine, "See one's own part in the draw of an offering",
        {200: views.DrawShare}, MEMBER, ("invalid", "not_found"),
    ),
    Route(
        "POST", OFFERING + "/enrollments", enrollments.sign_up, "Sign up",
        {201: views.Enrollment, 202: views.Enrollment, 200: views.Enrollment}, MEMBER,
        ("invalid", "key_reused", "closed", "not_open", "not_eligible", "limit_reached", "overlap", "sold_out",
         *_DECIDED, *_BODY),
        body=enrollments.SignUp, idempotent_by_key=True, metered_by_offering=True,
    ),
    Route(
        "GET", OFFERING + "/roster", enrollments.roster, "List who is in and who waits",
        {200: views.EnrollmentList}, OFFICER | ORGANIZER, ("invalid", "not_found"), paged=True,
    ),
    Route(
        "POST", CODES, codes.issue, "Issue invitation codes",
        {201: views.IssuedCodes}, OFFICER | ORGANIZER, ("invalid", "not_found", "unknown", *_BODY),
        body=Terms, body_required=True,
    ),
    Route(
        "GET", CODES, codes.listing, "List the invitation codes of an offering",
        {200: views.CodeList}, OFFICER | ORGANIZER, ("invalid", "not_found", "unknown"), paged=True,
    ),
    Route(
        "DELETE", CODES + "/{code}", codes.revoke, "Revoke an invitation code",
        {200: views.Code}, OFFICER | ORGANIZER, ("invalid", "not_found", "unknown", *_BODY), body=enrollments.Nothing,
    ),
    Route(
        "PUT", OFFERING + "/results", competitions.import_results, "Import the results of a round",
        {200: views.ResultsImport}, OFFICER | ORGANIZER,
        ("invalid", "not_found", "wrong_state", "overloaded", *_BODY),
        takes=competitions.MEDIA_TYPES, body_required=True, filters=("dry_run",),
    ),
    Route(
        "GET", OFFERING + "/results", competitions.results, "List the ranking of a round",
        {200: views.ResultList}, OFFICER | ORGANIZER, ("invalid", "not_found"), paged=True,
    ),
    Route(
        "GET", OFFERING + "/results/me", competitions.mine, "See one's own result of a round",
        {200: views.OwnResult}, MEMBER, ("invalid", "not_found"),
    ),
    Route(
        "POST", OFFERING + "/advance", competitions.advance, "Decide who goes on to the next round",
        {202: views.RoundAdvance, 200: views.RoundAdvance}, OFFICER | ORGANIZER,
        ("invalid", "not_found", "wrong_state", *_BODY), body=enrollments.Nothing,
    ),
    Route(
        "GET", OFFERING + "/nominations", competitions.nominations, "Export who is nominated for medals",
        {200: competitions.CSV}, OFFICER | ORGANIZER, ("invalid", "not_found", "wrong_state"),
    ),
    Route(
        "GET", ENROLLMENT, enrollments.find, "See an enrollment",
        {200: views.Enrollment}, MEMBER | OFFICER, ("invalid", "not_found", "unknown"),
    ),
    Route(
        "GET", ENROLLMENT + "/why", why.enrollment, "See how an enrollment came to what it is",
        {200: views.EnrollmentReason}, MEMBER | OFFICER, ("invalid", "not_found", "unknown"),
    ),
    Route(
        "GET", ENROLLMENT + "/receipt", rolls.receipt, "Get the receipt of a confirmed seat",
        {200: Receipt}, MEMBER | OFFICER, ("invalid", "not_found", "wrong_state", "unknown"),
    ),
    Route(
        "GET", OFFERING + "/why", why.refusal, "See why a sign-up was refused",
        {200: views.RefusalReason}, MEMBER, ("invalid", "not_found"), filters=("as_of_seq", "refused_as", "pool"),
    ),
    Route(
        "DELETE", ENROLLMENT, enrollments.cancel, "Cancel an enrollment",
        {200: views.Enrollment}, MEMBER | OFFICER,
        ("invalid", "too_late", "wrong_state", *_DECIDED, *_BODY), body=enrollments.Nothing,
    ),
    Route(
        "POST", ENROLLMENT + "/confirm", enrollments.confirm, "Take a held or offered seat",
        {200: views.Enrollment}, MEMBER,
        ("invalid", "too_late", "wrong_state", *_DECIDED, *_BODY), body=enrollments.Nothing,
    ),
    Route(
        "POST", ENROLLMENT + "/decline", enrollments.decline, "Leave a held or offered seat",
        {200: views.Enrollment}, MEMBER,
        ("invalid", "too_late", "wrong_state", *_DECIDED, *_BODY), body=enrollments.Nothing,
    ),
    Route(
        "GET", ROLL, rolls.roll, "Get the roll of a campaign",
        {200: rolls.NDJSON}, refusals=("invalid", "not_found"), cached=True,
    ),
    Route(
        "GET", ROLL + "/head", rolls.head, "See how far the roll of a campaign has come",
        {200: Head}, refusals=("invalid", "not_found"), cached=True,
    ),
    Route(
        "GET", "/v1/receipt-key", rolls.key, "See the public key of receipts and heads", {200: views.ReceiptKey},
    ),
    Route(
        "GET", CAMPAIGN + "/me", enrollments.mine, "List one's live enrollments of a campaign",
        {200: views.EnrollmentList}, MEMBER, ("invalid", "not_found", "unknown"),
    ),
    Route(
        "GET", "/v1/me/enrollments", enrollments.mine_everywhere, "List one's enrollments over all campaigns",
        {200: views.EnrollmentList}, MEMBER, ("invalid",), paged=True,
    ),
    Route(
        "PUT", HEADCOUNTS, headcounts.report, "Report how many people units have",
        {200: views.HeadcountReport}, ORGANIZER, ("invalid", *_BODY),
        body=Headcounts, body_required=True,
    ),
    Route(
        "GET", HEADCOUNTS, headcounts.listing, "List how many people units have",
        {200: views.HeadcountList}, ORGANIZER, ("invalid",), paged=True, filters=("unit",),
    ),
    Route(
        "GET", "/v1/live", live.live, "Watch and sign up by WebSocket",
        {101: None}, refusals=("unauthenticated", "forbidden", "invalid"),
    ),
    Route("GET", "/v1/ops/status", ops.status, "How the deployment does", {200: views.OpsStatus}, OPS),
    Route("GET", "/healthz", ops.healthz, "Whether the process lives", {200: "text/plain"}),
    Route("GET", "/readyz", ops.readyz, "Whether it can decide", {200: "text/plain"}),
    Route("GET", "/metrics", ops.expose_metrics, "Metrics for Prometheus", {200: "text/plain"}),
    Route(
        "GET", "/openapi.json", documents.openapi_json, "This description", {200: "application/json"}, cached=True,
    ),
    Route("GET", "/docs", documents.viewer, "A viewer of this description", {200: "text/html"}),
)  # fmt: skip
