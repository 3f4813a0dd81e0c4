"""The parsers of request bodies."""

from __future__ import annotations

import json
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.parsers import BaseParser, JSONParser

from por.api.problems import Invalid


class StrictJSONParser(JSONParser):
    """A parser of JSON in UTF-8. It refuses what could not be written out again: endless nesting, half characters."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            body = json.loads(stream.read().decode(), parse_constant=_refuse_constant)
            json.dumps(body, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise Invalid("malformed_json", _("The request body is not valid JSON in UTF-8.")) from None
        return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class CsvParser(BaseParser):
    """A parser of CSV in UTF-8. The text is under the key `csv`; the endpoint knows the columns."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return {"csv": stream.read().decode("utf-8-sig")}
        except UnicodeDecodeError:
            raise Invalid("malformed_csv", _("The request body is not valid CSV in UTF-8.")) from None
