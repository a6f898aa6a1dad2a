"""Shapes: one row for each type and each way to miss it."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from engine.domain import shapes
from engine.domain.campaign import Id, Instant, Text, Unit
from engine.domain.faults import Fault, Found, fault


class Inner(Struct, frozen=True):
    id: Id
    count: Annotated[int, Meta(ge=1, le=10)] = 1


class Everything(Struct, frozen=True, omit_defaults=True):
    id: Id | None = None
    unit: Unit = "u"
    text: Text = "text"
    code: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "ABC"
    any: str = ""
    choice: Literal["a", "b"] = "a"
    number: Annotated[int, Meta(ge=0, le=10)] = 0
    integer: int = 0
    degrees: Annotated[float, Meta(ge=-180, le=180)] = 0.0
    real: float = 0.0
    flag: bool = False
    at: Instant | None = None
    day: date | None = None
    some: Annotated[list[Id], Meta(min_length=1, max_length=3)] | None = None
    inner: Inner | None = None
    inners: list[Inner] = []
    table: Annotated[dict[Unit, Annotated[int, Meta(ge=0)]], Meta(min_length=1, max_length=3)] | None = None


BEIJING = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("field", "raw", "value"),
    [
        ("id", None, None),
        ("id", "a-1", "a-1"),
        ("id", "0" * 64, "0" * 64),
        ("unit", "xicheng.health.fuxing", "xicheng.health.fuxing"),
        ("unit", ".".join(["a"] * 10), ".".join(["a"] * 10)),
        ("text", "剪纸 🍁 𝒜 \x7f", "剪纸 🍁 𝒜 \x7f"),
        ("text", "🍁" * 400, "🍁" * 400),
        ("choice", "b", "b"),
        ("number", 10, 10),
        ("integer", -(2**53) + 1, -(2**53) + 1),
        ("degrees", 1, 1.0),
        ("degrees", 180.0, 180.0),
        ("real", 1e308, 1e308),
        ("flag", True, True),
        ("at", "2026-11-28T10:00:00+08:00", datetime(2026, 11, 28, 10, tzinfo=BEIJING)),
        ("at", "2026-11-28T10:00:00.125Z", datetime(2026, 11, 28, 10, 0, 0, 125_000, UTC)),
        ("at", "2199-12-31T23:59:59Z", datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("day", "2028-02-29", date(2028, 2, 29)),
        ("some", ["a", "b", "c"], ["a", "b", "c"]),
        ("inner", {"id": "a"}, Inner("a")),
        ("inners", [], []),
        ("table", {"a": 1, "a.b": 0}, {"a": 1, "a.b": 0}),
        ("inners", [{"id": "a", "count": 2}], [Inner("a", 2)]),
    ],
)
def test_a_value_of_the_right_shape(field: str, raw: object, value: object) -> None:
    made = shapes.convert(Everything, {field: raw})
    assert isinstance(made, Everything)
    assert getattr(made, field) == value
    assert type(getattr(made, field)) is type(value)


@pytest.mark.parametrize(
    ("field", "raw", "code"),
    [
        ("id", 1, "not_a_string"),
        ("id", "", "not_an_id"),
        ("id", "a" * 65, "not_an_id"),
        ("id", "-a", "not_an_id"),
        ("id", "A", "not_an_id"),
        ("id", "a\n", "not_an_id"),
        ("id", "剪", "not_an_id"),
        ("id", "a.b", "not_an_id"),
        ("unit", "", "not_a_unit"),
        ("unit", "a..b", "not_a_unit"),
        ("unit", ".a", "not_a_unit"),
        ("unit", "a.b\n", "not_a_unit"),
        ("unit", ".".join(["a"] * 11), "not_a_unit"),
        ("code", "abc", "pattern"),
        ("code", "ABC\n", "pattern"),
        ("text", None, "not_a_string"),
        ("text", 12, "not_a_string"),
        ("text", True, "not_a_string"),
        ("text", ["a"], "not_a_string"),
        ("text", {}, "not_a_string"),
        ("text", b"bytes", "not_a_string"),
        ("text", "", "too_short"),
        ("text", "a" * 401, "too_long"),
        ("text", "a\0b", "control_character"),
        ("text", "a\nb", "control_character"),
        ("text", "a\x1f", "control_character"),
        ("text", "\ud800", "surrogate"),
        ("any", "\0", "control_character"),
        ("table", [], "not_an_object"),
        ("table", fault("duplicate_key"), "duplicate_key"),
        ("table", {}, "too_few"),
        ("table", {"a": 1, "b": 1, "c": 1, "d": 1}, "too_many"),
        ("choice", "c", "not_one_of"),
        ("choice", "a\n", "not_one_of"),
        ("choice", 1, "not_a_string"),
        ("choice", None, "not_a_string"),
        ("number", "1", "not_an_integer"),
        ("number", True, "not_an_integer"),
        ("number", 4.0, "not_an_integer"),
        ("number", None, "not_an_integer"),
        ("number", -1, "too_small"),
        ("number", 11, "too_large"),
        ("number", 10**4000, "too_large"),
        ("integer", 2**53, "too_large"),
        ("integer", -(2**53), "too_small"),
        ("degrees", "1", "not_a_number"),
        ("degrees", False, "not_a_number"),
        ("degrees", 180.1, "too_large"),
        ("degrees", -181, "too_small"),
        ("degrees", float("nan"), "not_finite"),
        ("degrees", float("inf"), "too_large"),
        ("real", float("inf"), "too_large"),
        ("real", float("nan"), "not_finite"),
        ("real", 10**4000, "too_large"),
        ("flag", 1, "not_a_boolean"),
        ("flag", "true", "not_a_boolean"),
        ("flag", None, "not_a_boolean"),
        ("at", 1_795_000_000, "not_an_instant"),
        ("at", "", "not_an_instant"),
        ("at", "+10m", "not_an_instant"),
        ("at", "2026-11-28", "not_an_instant"),
        ("at", "2026-11-28T10:00+08:00", "not_an_instant"),
        ("at", "2026-11-28 10:00:00+08:00", "not_an_instant"),
        ("at", "2026-11-28T10:00:00+0800", "not_an_instant"),
        ("at", "2026-11-28T10:00:00+08:00\n", "not_an_instant"),
        ("at", "2026-W48-6T10:00:00Z", "not_an_instant"),
        ("at", "2026-02-30T10:00:00Z", "not_an_instant"),
        ("at", "2026-11-28T24:00:00Z", "not_an_instant"),
        ("at", "2026-11-28T23:59:60Z", "not_an_instant"),
        ("at", "2026-11-28T10:00:00+24:00", "not_an_instant"),
        ("at", "2026-11-28T10:00:00.1234567Z", "not_an_instant"),
        ("at", "٢٠٢٦-11-28T10:00:00Z", "not_an_instant"),
        ("at", "2026-11-28T10:00:00", "no_offset"),
        ("at", "1999-12-31T23:59:59Z", "year"),
        ("at", "2200-01-01T00:00:00Z", "year"),
        ("at", "0000-01-01T00:00:00Z", "not_an_instant"),
        ("day", "2026-12-31T00:00:00Z", "not_a_date"),
        ("day", "20261231", "not_a_date"),
        ("day", "2026-W01-1", "not_a_date"),
        ("day", "2026-02-29", "not_a_date"),
        ("day", 20261231, "not_a_date"),
        ("day", "1999-12-31", "year"),
        ("some", "abc", "not_a_list"),
        ("some", {"0": "a"}, "not_a_list"),
        ("some", [], "too_few"),
        ("some", ["a"] * 4, "too_many"),
        ("inner", [], "not_an_object"),
        ("inner", "a", "not_an_object"),
        ("inners", {}, "not_a_list"),
        ("inner", fault("duplicate_key"), "duplicate_key"),
        ("inners", fault("duplicate_key"), "duplicate_key"),
        ("number", fault("number_too_long"), "number_too_long"),
        ("degrees", fault("not_finite"), "not_finite"),
        ("text", fault("surrogate"), "surrogate"),
        ("at", fault("duplicate_key"), "duplicate_key"),
        ("flag", fault("duplicate_key"), "duplicate_key"),
        ("choice", fault("duplicate_key"), "duplicate_key"),
        ("day", fault("duplicate_key"), "duplicate_key"),
    ],
)
def test_a_value_of_the_wrong_shape(field: str, raw: object, code: str) -> None:
    made = shapes.convert(Everything, {field: raw})
    assert isinstance(made, list)
    assert [(found.path, found.code) for found in made] == [(f"/{field}", code)]


def test_all_faults_are_named_with_their_paths() -> None:
    raw = {
        "inners": [{"id": "a"}, {"count": 0}, 7, {"id": "b", "count": 11, "colour": 1}],
        "some": ["a", 1],
        "": 2,
    }
    assert shapes.convert(Everything, raw) == [
        Fault("/some/1", "not_a_string"),
        Fault("/inners/1/id", "missing"),
        Fault("/inners/1/count", "too_small", {"min": 1}),
        Fault("/inners/2", "not_an_object"),
        Fault("/inners/3/count", "too_large", {"max": 10}),
        Fault("/inners/3/colour", "unknown_field", {"field": "colour"}),
        Fault("/", "unknown_field", {"field": ""}),
    ]


def test_what_is_right_of_a_struct_with_faults() -> None:
    found = Found()
    part = shapes.examine(
        Everything, {"number": 3, "flag": 1, "inners": [{"id": "a"}, {"id": "b", "count": 0}]}, found
    )
    assert found.count == 2
    assert (part.number, part.flag, part.text) == (3, None, None)
    assert part.inners[0] == Inner("a")
    assert (part.inners[1].id, part.inners[1].count) == ("b", None)
    assert [shapes.is_given(part, name) for name in ("number", "flag", "text")] == [True, True, False]
    assert [shapes.is_given(part.inners[0], name) for name in ("id", "count")] == [True, True]


def test_a_list_beyond_its_bound_is_looked_at_up_to_it() -> None:
    made = shapes.convert(Everything, {"some": ["A"] * 1_000})
    assert isinstance(made, list)
    assert [found.path for found in made] == ["/some", "/some/0", "/some/1", "/some/2"]


@pytest.mark.parametrize("raw", [None, [], "a", 1, True, fault("duplicate_key")])
def test_the_whole_must_be_an_object(raw: object) -> None:
    made = shapes.convert(Everything, raw)
    assert isinstance(made, list)
    assert [found.path for found in made] == [""]


def test_a_value_that_equals_its_default_is_the_default() -> None:
    raw: dict[str, Any] = {"text": "".join(["te", "xt"]), "inners": [], "real": 0, "id": None}
    made = shapes.convert(Everything, raw)
    assert made == Everything()
    assert msgspec.json.encode(made) == b"{}"


def test_each_entry_of_a_mapping_is_named() -> None:
    raw = {"table": {"A": 2, "b/c": "2", "d.e": fault("duplicate_key")}}
    found = shapes.convert(Everything, raw)
    assert isinstance(found, list)
    assert [(each.path, each.code) for each in found] == [
        ("/table/A", "not_a_unit"),
        ("/table/b~1c", "not_a_unit"),
        ("/table/b~1c", "not_an_integer"),
        ("/table/d.e", "duplicate_key"),
    ]


def test_a_type_without_shape_is_a_fault_of_the_program() -> None:
    class Odd(Struct):
        table: set[str]

    with pytest.raises(TypeError, match="no shape"):
        shapes.convert(Odd, {})


json_like: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from([fault("duplicate_key"), "2026-11-28T10:00:00Z", "a"]),
    lambda some: (
        st.lists(some) | st.dictionaries(st.sampled_from(Everything.__struct_fields__) | st.text(), some)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(json_like)
def test_anything_is_converted_or_named(raw: object) -> None:
    made = shapes.convert(Everything, raw)
    if isinstance(made, list):
        assert made
    else:
        assert msgspec.json.decode(msgspec.json.encode(made), type=Everything) == made


@pytest.mark.parametrize("field", ["at", "day"])
@pytest.mark.parametrize(("year", "is_one"), [(1999, False), (2000, True), (2199, True), (2200, False)])
def test_the_years_that_make_sense(field: str, year: int, is_one: bool) -> None:
    found = shapes.convert(Everything, {field: f"{year}-06-01{'T10:00:00Z' if field == 'at' else ''}"})
    told = None if isinstance(found, Everything) else [(each.code, each.parameters) for each in found]
    assert told == (None if is_one else [("year", {"first": 2000, "last": 2199})])
