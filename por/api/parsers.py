"""How a body is read."""

from __future__ import annotations

import json
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.parsers import BaseParser, JSONParser

from por.api.problems import Invalid


class StrictJSONParser(JSONParser):
    """JSON in UTF-8 that can be written out again: neither nested without end nor with half a character in it."""

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
    """A CSV in UTF-8, as text under `csv`: what its columns are is the endpoint's to know."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return {"csv": stream.read().decode("utf-8-sig")}
        except UnicodeDecodeError:
            raise Invalid("malformed_csv", _("The request body is not valid CSV in UTF-8.")) from None
