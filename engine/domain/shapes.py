"""Shapes: raw JSON-like data against typed Structs, naming every fault instead of the first.

The types and their bounds are read once from the Structs (`msgspec.inspect`) and compiled to plain functions.
Nothing is coerced: "1", true and 4.0 are no integers, though 4 will do for a float. Fields that a Struct does
not have are always refused. A Meta with `extra={"fault": code}` names the fault for its pattern.
"""

import functools
import math
import re
import sys
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, inspect

from engine.domain.faults import Fault, Found, Path, fault, field_name

T = TypeVar("T", bound=Struct)
Converter = Callable[[Any, Path, Found], Any]
"""From a raw value to the typed one; of what has faults, to what is right of it, or None."""
Reader = Callable[[Any], Any]
"""From a raw scalar to the typed one, or to a Fault."""

INTEGER_MAX: Final = 2**53 - 1
"""The bound of integers that have no narrower one: what every reader of JSON holds exactly."""
YEARS: Final = range(2000, 2200)
"""The years in which an instant or a date makes sense."""

# Control characters, of which PostgreSQL takes no NUL, and lone surrogates, which UTF-8 cannot hold.
_UNFIT = re.compile("[\x00-\x1f\ud800-\udfff]")
# Later versions of Python take 24:00 for the next day.
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEAR: Final = fault("year", first=YEARS[0], last=YEARS[-1])
_ABSENT: Final = object()


class Partial:
    """What is right of a Struct that has faults: a field that is missing or wrong reads as None."""

    def __init__(self, right: dict[str, Any], raw: dict[str, Any] | None) -> None:
        self.__dict__.update(right)
        self._raw = raw

    def __getattr__(self, name: str) -> None:
        return None

    def has(self, name: str) -> bool:
        """Whether the field is there and not null, be it right or wrong."""
        return self._raw is not None and self._raw.get(name) is not None

    def lacks(self, name: str) -> bool:
        """Whether it is an object without this field."""
        return self._raw is not None and name not in self._raw


def is_given(part: Any, name: str) -> bool:
    """Whether a Struct or Partial was given this field, be it right or wrong."""
    return part.has(name) if isinstance(part, Partial) else getattr(part, name) is not None


def lacks(part: Any, name: str) -> bool:
    """Whether a Struct or Partial is an object without this field, which has a default that is false."""
    return part.lacks(name) if isinstance(part, Partial) else not getattr(part, name)


def matches(pattern: str, text: str) -> bool:
    """Whether the whole of a text has the form of a pattern of `campaign`."""
    # fullmatch, since `$` also matches before a newline at the end.
    return re.fullmatch(pattern, text) is not None


def convert(cls: type[T], raw: object) -> T | list[Fault]:
    """A Struct of type `cls` made of `raw`, or all that is wrong with it."""
    found = Found()
    value: T = examine(cls, raw, found)
    return found.faults() if found.count else value


def examine(cls: type[Struct], raw: object, found: Found) -> Any:
    """As `convert`, but collects into `found`, and then gives what is right as a Partial, for rules to look at."""
    return _converter_of(cls)(raw, None, found)


@functools.cache
def _converter_of(cls: type[Struct]) -> Converter:
    return _converter(inspect.type_info(cls))


def _converter(kind: inspect.Type, pattern_fault: str = "pattern") -> Converter:
    match kind:
        case inspect.Metadata():
            return _converter(kind.type, (kind.extra or {}).get("fault", pattern_fault))
        case inspect.StructType():
            return _struct(kind)
        case inspect.ListType() | inspect.DictType():
            return _list(kind) if isinstance(kind, inspect.ListType) else _mapping(kind)
        case inspect.UnionType(types=(some, inspect.NoneType())):
            return _optional(_converter(some))
        case inspect.StrType():
            return _scalar(_string(kind, pattern_fault))
        case inspect.LiteralType():
            return _scalar(_choice(kind))
        case inspect.IntType(gt=None, lt=None, multiple_of=None):
            return _scalar(_integer(kind))
        case inspect.FloatType(gt=None, lt=None, multiple_of=None):
            return _scalar(_float(kind))
        case inspect.BoolType():
            return _scalar(_boolean)
        case inspect.DateTimeType(tz=True):
            return _scalar(_instant)
        case inspect.DateType():
            return _scalar(_date)
        case _:
            raise TypeError(f"no shape for {kind}")


def _struct(kind: inspect.StructType) -> Converter:
    fields = [
        (field.encode_name, field.name, _converter(field.type), field.required, _default(field))
        for field in kind.fields
    ]
    names = frozenset(name for name, *_ in fields)

    def convert_struct(raw: Any, path: Path, found: Found) -> Any:
        if type(raw) is not dict:
            found.place(path, _wrong(raw, "not_an_object"))
            return Partial({}, None)
        faults_before, known, values = found.count, 0, {}
        for name, attribute, converter, required, default in fields:
            part = raw.get(name, _ABSENT)
            if part is _ABSENT:
                if required:
                    found.add((path, name), "missing")
                continue
            known += 1
            value = converter(part, (path, name), found)
            # msgspec leaves a default out of what it encodes only if it is the very same object.
            if value != default:
                values[attribute] = value
        if known < len(raw):
            for name in raw:
                if name not in names:
                    found.add((path, name), "unknown_field", field=field_name(name))
        if found.count > faults_before:
            return Partial(values, {attribute: raw[name] for name, attribute, *_ in fields if name in raw})
        return kind.cls(**values)

    return convert_struct


def _default(field: inspect.Field) -> object:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _list(kind: inspect.ListType) -> Converter:
    converter = _converter(kind.item_type)
    least, most = kind.min_length or 0, sys.maxsize if kind.max_length is None else kind.max_length

    def convert_list(raw: Any, path: Path, found: Found) -> list[Any] | None:
        if type(raw) is not list:
            found.place(path, _wrong(raw, "not_a_list"))
            return None
        if len(raw) < least:
            found.add(path, "too_few", min=least)
        elif len(raw) > most:
            found.add(path, "too_many", max=most)
        # What is beyond the bound is refused already; looking at it would only cost time.
        return [converter(part, (path, index), found) for index, part in enumerate(raw[:most])]

    return convert_list


def _mapping(kind: inspect.DictType) -> Converter:
    key_converter, converter = _converter(kind.key_type), _converter(kind.value_type)
    least, most = kind.min_length or 0, sys.maxsize if kind.max_length is None else kind.max_length

    def convert_mapping(raw: Any, path: Path, found: Found) -> dict[str, Any] | None:
        if type(raw) is not dict:
            found.place(path, _wrong(raw, "not_an_object"))
            return None
        if len(raw) < least:
            found.add(path, "too_few", min=least)
        elif len(raw) > most:
            found.add(path, "too_many", max=most)
            return None
        return {
            key_converter(key, (path, key), found): converter(part, (path, key), found)
            for key, part in raw.items()
        }

    return convert_mapping


def _optional(converter: Converter) -> Converter:
    return lambda raw, path, found: None if raw is None else converter(raw, path, found)


def _scalar(read: Reader) -> Converter:
    def convert_scalar(raw: Any, path: Path, found: Found) -> Any:
        value = read(raw)
        if type(value) is Fault:
            found.place(path, value)
            return None
        return value

    return convert_scalar


def _wrong(raw: object, code: str) -> Fault:
    """`raw` is not what is due; what its parser has refused already keeps that reason."""
    return raw if isinstance(raw, Fault) else fault(code)


def _string(kind: inspect.StrType, pattern_fault: str) -> Reader:
    least, most = kind.min_length or 0, sys.maxsize if kind.max_length is None else kind.max_length
    # fullmatch, since `$` also matches before a newline at the end.
    matches = re.compile(kind.pattern or "(?s:.*)").fullmatch

    def read(raw: Any) -> str | Fault:
        if type(raw) is not str:
            return _wrong(raw, "not_a_string")
        if not matches(raw):
            return fault(pattern_fault, pattern=kind.pattern or "")
        if len(raw) < least:
            return fault("too_short", min=least)
        if len(raw) > most:
            return fault("too_long", max=most)
        if unfit := _UNFIT.search(raw):
            return fault("control_character" if unfit[0] < " " else "surrogate")
        return raw

    return read


def _choice(kind: inspect.LiteralType) -> Reader:
    allowed = ", ".join(map(str, kind.values))

    def read(raw: Any) -> str | Fault:
        if type(raw) is not str:
            return _wrong(raw, "not_a_string")
        return raw if raw in kind.values else fault("not_one_of", allowed=allowed)

    return read


def _integer(kind: inspect.IntType) -> Reader:
    least = -INTEGER_MAX if kind.ge is None else kind.ge
    most = INTEGER_MAX if kind.le is None else kind.le

    def read(raw: Any) -> int | Fault:
        if type(raw) is not int:
            return _wrong(raw, "not_an_integer")
        if raw < least:
            return fault("too_small", min=least)
        return raw if raw <= most else fault("too_large", max=most)

    return read


def _float(kind: inspect.FloatType) -> Reader:
    least = -sys.float_info.max if kind.ge is None else kind.ge
    most = sys.float_info.max if kind.le is None else kind.le

    def read(raw: Any) -> float | Fault:
        if type(raw) is not float and type(raw) is not int:
            return _wrong(raw, "not_a_number")
        if raw < least:
            return fault("too_small", min=least)
        if raw > most:
            return fault("too_large", max=most)
        return fault("not_finite") if math.isnan(raw) else float(raw)

    return read


def _boolean(raw: Any) -> bool | Fault:
    return raw if isinstance(raw, bool) else _wrong(raw, "not_a_boolean")


def _instant(raw: Any) -> datetime | Fault:
    form = _INSTANT.fullmatch(raw) if type(raw) is str else None
    if form is None:
        return _wrong(raw, "not_an_instant")
    if form[1] is None:
        return fault("no_offset")
    try:
        instant = datetime.fromisoformat(raw)
    except ValueError:
        return fault("not_an_instant")
    return instant if instant.year in YEARS else _YEAR


def _date(raw: Any) -> date | Fault:
    if type(raw) is not str or not _DATE.fullmatch(raw):
        return _wrong(raw, "not_a_date")
    try:
        day = date.fromisoformat(raw)
    except ValueError:
        return fault("not_a_date")
    return day if day.year in YEARS else _YEAR
