"""The renderers of answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework import renderers
from rest_framework.utils import encoders

_default = encoders.JSONEncoder().default


class JSONRenderer(renderers.JSONRenderer):
    """JSON by orjson: the same bytes as the framework's own renderer writes, in a fraction of the time."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        if data is None or self.get_indent(accepted_media_type or "", renderer_context or {}):
            return bytes(super().render(data, accepted_media_type, renderer_context))
        written = orjson.dumps(data, default=_default, option=orjson.OPT_PASSTHROUGH_DATETIME)
        if b"\xe2\x80" not in written:
            return written
        # The framework escapes the two line separators that JavaScript did not allow in texts.
        return written.replace(b"\xe2\x80\xa8", rb"\u2028").replace(b"\xe2\x80\xa9", rb"\u2029")


class CsvRenderer(JSONRenderer):
    """Stands for `Accept: text/csv`. The file itself is written by the endpoint; only errors are rendered, in JSON."""

    media_type = "text/csv"
    format = "csv"
