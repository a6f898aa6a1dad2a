"""Loaded by schemathesis: documents that are made up are for the caller's unit, else each would be forbidden."""

import re
from typing import Any

import schemathesis

from engine.domain.campaign import ID_PATTERN, UNIT_PATTERN

UNIT = "xicheng"


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]
) -> None:
    """Give a document the caller's unit and the campaign of its address, where those that it has are well formed."""
    body = case.body
    if case.method != "PUT" or not isinstance(body, dict):
        return
    if _fits(body.get("unit"), UNIT_PATTERN):
        body["unit"] = UNIT
    name = case.path_parameters.get("campaign")
    if _fits(body.get("campaign"), ID_PATTERN) and _fits(name, ID_PATTERN):
        body["campaign"] = name


def _fits(value: object, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None
