"""The OpenAPI 3.1 document: made of the route list, the types that the routes name, and the outcome table."""

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

import engine
from api import openapi_examples as examples
from api import openapi_texts as texts
from api import paging, problems, views
from api.handlers import why
from api.openapi_texts import Said
from api.router import ENROLLMENT_PATTERN
from api.routes import Route
from engine.domain import invitation
from engine.domain.campaign import ID_PATTERN, UNIT_PATTERN
from engine.domain.outcome import REFUSALS

Json = dict[str, Any]

ALWAYS: Final = ("not_ready", "internal")
"""Codes that every route may answer with."""
WITH_TOKEN: Final = ("unauthenticated", "forbidden")
_JSON: Final = "application/json"
_RANK: Final = {code: rank for rank, code in enumerate(REFUSALS)}
_COMPONENT: Final = "#/components/{}/{}"
_SCHEMA: Final = "#/components/schemas/{name}"

_HEADERS: Final[dict[str, Json]] = {
    "Location": {"type": "string", "format": "uri-reference"},
    "ETag": {"type": "string", "pattern": '^"[^"]*"$'},
    "Retry-After": {"type": "integer", "minimum": 1},
    "WWW-Authenticate": {"type": "string", "pattern": "^Bearer "},
    "Allow": {"type": "string"},
    "Content-Language": {"enum": ["zh-CN", "en"]},
}
_PARAMETERS: Final[dict[str, tuple[str, Json]]] = {
    "campaign": ("path", {"type": "string", "pattern": ID_PATTERN, "examples": ["autumn-2026"]}),
    "offering": ("path", {"type": "string", "pattern": ID_PATTERN, "examples": ["paper-cutting"]}),
    "enrollment": (
        "path",
        {"type": "string", "pattern": ENROLLMENT_PATTERN, "examples": ["k3J9-Zq0aB7_xYt2"]},
    ),
    "code": (
        "path",
        {
            "type": "string",
            "pattern": invitation.ID_PATTERN,
            "examples": ["3f1c0e9a7d5b48e2a6c41d0f9b87e352"],
        },
    ),
    "limit": (
        "query",
        {"type": "integer", "minimum": 1, "maximum": paging.LIMIT_MAX, "default": paging.LIMIT_DEFAULT},
    ),
    "unit": ("query", {"type": "string", "pattern": UNIT_PATTERN, "examples": ["xicheng.health"]}),
    "cursor": ("query", {"type": "string", "maxLength": paging.CURSOR_CHARACTERS_MAX}),
    "dry_run": ("query", {"type": "boolean", "default": False}),
    "as_of_seq": ("query", {"type": "integer", "minimum": 1, "maximum": why.SEQ_MAX, "examples": [1041]}),
    "refused_as": ("query", {"enum": list(why.CODES)}),
    "pool": ("query", {"type": "string", "pattern": ID_PATTERN, "examples": ["open"]}),
    "Idempotency-Key": (
        "header",
        {"type": "string", "pattern": "^[!-~]{1,64}$", "examples": ["0f8c2a9e-41"]},
    ),
    "If-Match": ("header", {"type": "string", "examples": ['"1"']}),
    "If-None-Match": ("header", {"type": "string", "examples": ['"1.1041"']}),
    "Accept-Language": ("header", {"type": "string", "examples": ["en", "zh-CN"]}),
}
_LINKS: Final = ("see_enrollment", "cancel_enrollment", "confirm_enrollment", "decline_enrollment")
"""What can be done with the enrollment that a sign-up answers with, by operationId."""


def build(routes: Sequence[Route]) -> Json:
    """The document. Raises KeyError, with what is missing, for a route, parameter or status without words."""
    responses = _Responses()
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, responses)
    responses.refused(["method_not_allowed"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "seatrush",
            "version": engine.__version__,
            "description": f"{texts.DESCRIPTION.paragraphs}\n\n{_table_of_codes()}",
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name, "description": said.line} for name, said in texts.TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "examples": {code: _problem_example(code) for code in REFUSALS},
            "responses": responses.components,
            "links": {name: _link(name) for name in _LINKS},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": texts.BEARER.paragraphs,
                }
            },
        },
    }


def codes_of(route: Route) -> list[str]:
    """Every code that a route may refuse with, in the order of the guards."""
    codes = {*route.refusals, *ALWAYS}
    if route.roles:
        codes.update(WITH_TOKEN)
    if route.limited:
        codes.add("rate_limited")
    return sorted(codes, key=_RANK.__getitem__)


class _Responses:
    """Refusals as shared components, one for each set of codes that some operation has under one status."""

    def __init__(self) -> None:
        self.components: dict[str, Json] = {}

    def refused(self, codes: Sequence[str]) -> Json:
        """A reference to the response for codes of one status."""
        name = ".".join(codes)
        self.components.setdefault(name, _refusal(codes))
        return _reference("responses", name)


def _operation(route: Route, responses: _Responses) -> Json:
    name = f"{route.handler.__module__.rpartition('.')[2]}.{route.handler.__name__}"
    said = texts.OPERATIONS[name]
    answers: dict[str, Json] = {
        str(status): _success(route, name, status, said.answers.get(status, texts.ANSWERS[status]))
        for status in route.answers
    }
    if route.cached:
        answers["304"] = {"description": texts.ANSWERS[304].line, "headers": _headers(["ETag"])}
    by_status: dict[int, list[str]] = {}
    for code in codes_of(route):
        by_status.setdefault(REFUSALS[code].status, []).append(code)
    answers |= {str(status): responses.refused(codes) for status, codes in sorted(by_status.items())}
    operation: Json = {
        "operationId": said.name,
        "tags": [name.partition(".")[0]],
        "summary": Said(route.summary, said.zh).line,
        "description": _description(route, said.more),
        "parameters": [_parameter(parameter) for parameter in _parameters(route)],
        "responses": answers,
        # One role of these is enough.
        "security": [{"bearer": [role]} for role in sorted(route.roles)],
    }
    # RFC 9110 gives the content of a DELETE no meaning; an empty object is taken, but there is no need to say so.
    if route.body is not None and route.method != "DELETE":
        content = _content(route.body, examples.BODIES[route.body.__name__])
        operation["requestBody"] = {"required": route.body_required, "content": content}
    if route.takes:
        files = {media_type: examples.FILES[media_type] for media_type in route.takes}
        operation["requestBody"] = {"required": route.body_required, "content": files}
    return operation


def _description(route: Route, more: Said | None) -> str:
    roles = ", ".join(f"`{role}`" for role in sorted(route.roles))
    who = f"{texts.ROLES.line}: {roles}" if roles else texts.ANYONE.line
    return f"{more.paragraphs}\n\n{who}" if more else who


def _parameters(route: Route) -> Iterable[str]:
    yield from re.findall("{([a-z]+)}", route.path)
    if route.paged:
        yield from ("limit", "cursor")
    yield from route.filters
    if route.idempotent_by_key:
        yield "Idempotency-Key"
    if route.conditional:
        yield "If-Match"
    if route.conditional or route.cached:
        yield "If-None-Match"
    yield "Accept-Language"


def _parameter(name: str) -> Json:
    place, schema = _PARAMETERS[name]
    parameter = {"name": name, "in": place, "description": texts.PARAMETERS[name].line, "schema": schema}
    return parameter | {"required": True} if place == "path" else parameter


def _success(route: Route, name: str, status: int, said: Said) -> Json:
    response: Json = {"description": said.line}
    headers = []
    if route.cached or route.conditional:
        headers.append("ETag")
    if status in (201, 202):
        headers.append("Location")
    if headers:
        response["headers"] = _headers(headers)
    kind = route.answers[status]
    if route.idempotent_by_key:
        response["links"] = {link: _reference("links", link) for link in _LINKS}
    if isinstance(kind, str):
        response["content"] = {kind: {"schema": {"type": "object" if kind == _JSON else "string"}}}
    elif isinstance(kind, type):
        by_type = examples.ANSWERS.get(kind.__name__, {})
        response["content"] = _content(kind, examples.ANSWERS_OF.get((name, status), by_type))
    return response


def _link(operation: str) -> Json:
    parameters = {name: f"$response.body#/{name}" for name in ("campaign", "enrollment")}
    return {"operationId": operation, "parameters": parameters}


def _content(kind: type, shown: dict[str, Json]) -> Json:
    media: Json = {"schema": {"$ref": _SCHEMA.format(name=kind.__name__)}}
    if shown:
        media["examples"] = {name: {"value": value} for name, value in shown.items()}
    return {_JSON: media}


def _refusal(codes: Sequence[str]) -> Json:
    status = REFUSALS[codes[0]].status
    required = ["Content-Language"]
    possible: list[str] = []
    if status == 401:
        required.append("WWW-Authenticate")
    if status == 405:
        required.append("Allow")
    waits = [REFUSALS[code].retry_after for code in codes]
    if any(waits):
        (required if all(waits) else possible).append("Retry-After")
    schema = {
        "allOf": [
            {"$ref": _SCHEMA.format(name=views.Problem.__name__)},
            {"properties": {"status": {"const": status}, "code": {"enum": list(codes)}}},
        ]
    }
    shown = {code: _reference("examples", code) for code in codes}
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        "headers": _headers(required, possible),
        "content": {problems.MEDIA_TYPE: {"schema": schema, "examples": shown}},
    }


def _headers(required: Iterable[str], possible: Iterable[str] = ()) -> Json:
    described = {
        name: {"description": said.line, "schema": _HEADERS[name]} for name, said in texts.HEADERS.items()
    }
    return {name: described[name] | {"required": True} for name in required} | {
        name: described[name] for name in possible
    }


def _problem_example(code: str) -> Json:
    said = _titles(code)
    return {"summary": said.line, "value": problems.document(code, "zh", fact="…")}


def _titles(code: str) -> Said:
    return Said(problems.document(code, "en")["title"], problems.document(code, "zh")["title"])


def _table_of_codes() -> str:
    rows = [
        f"| `{code}` | {refusal.status} | {_titles(code).en} | {_titles(code).zh} |"
        for code, refusal in REFUSALS.items()
    ]
    return "\n".join(["| code | status | English | 中文 |", "|---|---|---|---|", *rows])


def _schemas(routes: Sequence[Route]) -> Json:
    kinds: dict[type, None] = {views.Problem: None}
    for route in routes:
        for kind in (route.body, *route.answers.values()):
            if isinstance(kind, type) and issubclass(kind, Struct):
                kinds[kind] = None
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_SCHEMA)
    for schema in schemas.values():
        # Docstrings of several lines bring their indentation.
        schema["description"] = inspect.cleandoc(schema["description"])
    return schemas


def _reference(kind: str, name: str) -> Json:
    return {"$ref": _COMPONENT.format(kind, name)}
