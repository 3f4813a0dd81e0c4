"""JSON is written as the framework's own renderer writes it, byte by byte."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from rest_framework import renderers

from por.api.renderers import JSONRenderer
from por.directory.rules import Product

DATA = {
    "text": 'Å "quoted" \\ / \x00\x1f\x7f \U0001f600 between\u2028lines\u2029',
    "numbers": [0, -1, 2**53, 1.5, 1e100, True, None],
    "moment": datetime(2026, 3, 1, 9, 30, 0, 7000, tzinfo=UTC),
    "day": date(2026, 3, 1),
    "exact": Decimal("10.50"),
    "id": uuid.UUID(int=7),
    "chosen": Product.AZURE,
    "later": _("Product"),
    "safe": SafeString("<b>"),
    "lists": [[], {}, (1, 2), {"é": "ö"}],
}


@pytest.mark.parametrize("data", [DATA, [], "", None, [DATA]], ids=["all types", "empty", "text", "nothing", "list"])
@pytest.mark.parametrize("asked", ["application/json", "application/json; indent=4", None])
def test_the_bytes_are_those_of_the_frameworks_own_renderer(data, asked):
    assert JSONRenderer().render(data, asked) == renderers.JSONRenderer().render(data, asked)


@pytest.mark.parametrize("data", [object(), {1: "not a text"}])
def test_what_is_no_json_is_an_error(data):
    with pytest.raises(TypeError):
        JSONRenderer().render(data)
