"""The OpenAPI document: valid, complete, true to the route list and to the outcome table, in both languages."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jsonschema_rs
import msgspec
import pytest
from aiohttp import web
from msgspec import Struct, structs
from schemathesis.specs.openapi import definitions

from api import openapi, problems, routes
from api.call import Call
from api.routes import ROUTES, Route
from engine.domain import document, outcome
from engine.domain.campaign import Campaign
from tests.api.client import Client

DOCUMENT: Final[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(openapi.build(ROUTES)))
OPERATIONS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    (method.upper(), path): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
CHINESE: Final = re.compile("[\u4e00-\u9fff]")
ENGLISH: Final = re.compile("[a-z]{3}")

each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


def nodes(value: object) -> Iterator[Mapping[str, Any]]:
    """Every object of the document."""
    if isinstance(value, dict):
        yield value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from nodes(part)


def resolve(node: Any) -> Any:
    """What a reference into the document leads to, or the node itself. Raises KeyError where there is nothing."""
    if not isinstance(node, dict) or "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for name in node["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def validator(schema: object) -> jsonschema_rs.Validator:
    """A validator of a schema that may refer to the document's components."""
    whole = {"components": DOCUMENT["components"], "allOf": [schema]}
    return jsonschema_rs.validator_for(whole, validate_formats=True)


def refusals(operation: Mapping[str, Any]) -> dict[int, list[str]]:
    """The codes of each status that is a problem."""
    found = {}
    for status, response in operation["responses"].items():
        content = resolve(response).get("content", {})
        if problems.MEDIA_TYPE in content:
            found[int(status)] = content[problems.MEDIA_TYPE]["schema"]["allOf"][1]["properties"]["code"][
                "enum"
            ]
    return found


def test_it_is_valid() -> None:
    # The schema that the specification publishes; it leaves the schemas of the document alone.
    found = definitions.OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT)
    assert [str(error) for error in found] == []
    assert DOCUMENT["openapi"].startswith("3.1.")


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_schema_is_valid(name: str) -> None:
    jsonschema_rs.meta.validate(DOCUMENT["components"]["schemas"][name])
    assert "    " not in DOCUMENT["components"]["schemas"][name]["description"]


def test_every_reference_leads_somewhere() -> None:
    references = {node["$ref"] for node in nodes(DOCUMENT) if "$ref" in node}
    assert all(isinstance(resolve({"$ref": reference}), dict) for reference in references)
    used = {reference.removeprefix("#/components/") for reference in references}
    shared = DOCUMENT["components"]
    unused = {f"{kind}/{name}" for kind in shared for name in shared[kind]} - used
    # No operation of its own answers 405: it is for the methods that an address does not have.
    assert unused == {"responses/method_not_allowed", "securitySchemes/bearer"}


def test_it_names_every_route() -> None:
    assert OPERATIONS.keys() == {(route.method, route.path) for route in ROUTES}
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)


def test_it_names_every_outcome() -> None:
    answered = {
        code for operation in OPERATIONS.values() for codes in refusals(operation).values() for code in codes
    }
    assert answered | {"method_not_allowed"} == outcome.REFUSALS.keys()
    table = set(re.findall(r"^\| `([a-z_]+)` \|", DOCUMENT["info"]["description"], re.MULTILINE))
    assert table == outcome.REFUSALS.keys() == DOCUMENT["components"]["examples"].keys()
    assert {str(each.status) for each in outcome.SUCCESSES.values()} <= set(
        OPERATIONS["POST", routes.OFFERING + "/enrollments"]["responses"]
    )


@each_route
def test_route(route: Route) -> None:
    operation = OPERATIONS[route.method, route.path]
    by_status = defaultdict(set)
    secured = ("unauthenticated", "forbidden") if route.roles else ()
    limited = ("rate_limited",) if route.path.startswith("/v1/") else ()
    for code in (*route.refusals, *secured, *limited, "not_ready", "internal"):
        by_status[outcome.REFUSALS[code].status].add(code)
    assert {status: set(codes) for status, codes in refusals(operation).items()} == by_status
    successes = {str(status) for status in route.answers} | ({"304"} if route.cached else set())
    assert operation["responses"].keys() == successes | {str(status) for status in by_status}
    assert operation["security"] == [{"bearer": [role]} for role in sorted(route.roles)]
    parameters = [resolve(parameter)["name"] for parameter in operation["parameters"]]
    in_path = re.findall("{(.+?)}", route.path)
    assert parameters[: len(in_path)] == in_path
    assert not in_path or "invalid" in route.refusals, "an id may not be one"
    assert ("Idempotency-Key" in parameters) == route.idempotent_by_key
    assert ("cursor" in parameters) == route.paged
    takes = bool(route.takes or route.body)
    assert ("requestBody" in operation) == (takes and route.method != "DELETE")


@pytest.mark.parametrize("name", DOCUMENT["components"]["responses"])
def test_refusals_have_their_headers(name: str) -> None:
    codes = name.split(".")
    headers = DOCUMENT["components"]["responses"][name]["headers"]
    always = {header for header, described in headers.items() if described.get("required")}
    rows = [outcome.REFUSALS[code] for code in codes]
    assert ("Retry-After" in headers) == any(row.retry_after for row in rows)
    assert ("Retry-After" in always) == all(row.retry_after for row in rows)
    assert ("WWW-Authenticate" in always) == (rows[0].status == 401)
    assert ("Allow" in always) == (rows[0].status == 405)
    assert "Content-Language" in always


def test_it_speaks_both_languages() -> None:
    said = [DOCUMENT["info"]["description"], *(tag["description"] for tag in DOCUMENT["tags"])]
    for operation in OPERATIONS.values():
        said += [operation["summary"], operation["description"]]
        parts = [resolve(parameter) for parameter in operation["parameters"]]
        parts += [response for status, response in operation["responses"].items() if status < "400"]
        said += [part["description"] for part in parts]
    assert [text for text in said if not (CHINESE.search(text) and ENGLISH.search(text))] == []


def test_examples_fit_their_schemas() -> None:
    shown = 0
    for node in nodes(DOCUMENT):
        if "schema" in node and isinstance(node.get("examples"), dict):
            fits = validator(node["schema"])
            for example in node["examples"].values():
                fits.validate(resolve(example)["value"])
                shown += 1
    assert shown > len(OPERATIONS)


def test_the_examples_document_is_valid() -> None:
    body = OPERATIONS["PUT", routes.CAMPAIGN]["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        assert isinstance(document.validate(example["value"]), Campaign)


class Novelty(Struct):
    """A type that no words and no examples are for."""


async def novel(call: Call) -> web.Response:
    """A handler that no words are for."""
    return web.Response()


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"handler": novel}, "test_openapi.novel"),
        ({"path": "/v1/{novel}"}, "novel"),
        ({"answers": {206: None}}, "206"),
        ({"body": Novelty}, "Novelty"),
        ({"refusals": ("novel",)}, "novel"),
    ],
)
def test_a_route_without_words_fails(changed: dict[str, Any], missing: str) -> None:
    route = structs.replace(ROUTES[0], **changed)
    with pytest.raises(KeyError, match=re.escape(missing)):
        openapi.build([route])


async def test_it_is_served_as_it_was_built(client: Client) -> None:
    answer = await client.get("/openapi.json")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == DOCUMENT
    again = await client.get("/openapi.json", If_None_Match=answer.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
