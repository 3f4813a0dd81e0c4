"""The parsers of request bodies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, JSONParser, MultiPartParser

from por.api.problems import FieldError, Invalid

#: How deep a body may be nested. None of ours has more than four levels.
DEEPEST = 50


class StrictJSONParser(JSONParser):
    """A parser of JSON in UTF-8. It refuses what could not be written out again: endless nesting, half characters."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            body = json.loads(stream.read().decode(), parse_constant=_refuse_constant, object_pairs_hook=_as_object)
            json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
            _check_depth(body)
        except (ValueError, RecursionError):
            raise Invalid("malformed_json", _("The request body is not valid JSON in UTF-8.")) from None
        if path := next(_twice(body), None):
            message = _("The request body has this field twice. Send it once.")
            raise Invalid("field_twice", message, errors=[FieldError(".".join(path), "field_twice", str(message))])
        return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class _Twice(dict[str, Any]):
    """An object of JSON that has a name twice."""

    name = ""


def _as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    found = _Twice(fields)
    found.name = Counter(name for name, _value in pairs).most_common(1)[0][0]
    return found


def _twice(value: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the path to each name that an object at any depth has twice."""
    if isinstance(value, _Twice):
        yield (*path, value.name)
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, one in inside:
        yield from _twice(one, *path, str(place))


def _check_depth(body: Any) -> None:
    """Raise RecursionError for a body that only just fits the stack: what reads it again may be called from deeper."""
    level = [body]
    for _step in range(DEEPEST):
        inside = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [one for some in inside for one in some if isinstance(one, dict | list)]
        if not level:
            return
    raise RecursionError


class CsvParser(BaseParser):
    """A parser of CSV in UTF-8. The text is under the key `csv`; the endpoint knows the columns."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return {"csv": stream.read().decode("utf-8-sig")}
        except UnicodeDecodeError:
            raise Invalid("malformed_csv", _("The request body is not valid CSV in UTF-8.")) from None


class FilesParser(MultiPartParser):
    """A parser of forms with files."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except ParseError:
            raise Invalid("malformed_form", _("The request body is not a valid form with files.")) from None
