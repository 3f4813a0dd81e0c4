"""The links of a list to its other parts."""

from __future__ import annotations

import pytest
from rest_framework.utils.urls import replace_query_param

from por.api.lists import _link

ADDRESS = "https://partners.example/api/v1/subscriptions/"


@pytest.mark.parametrize("cursor", ["eyJh:1vQ:Zk-_9.A", "-", "a b&c=å%"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?page_size=50",
        "?cursor=old%3A1&page_size=50",
        "?cursor=-&agreement=EA&cursor=-",
        "?search=cursor%3D-%26x&status=",
        "?search=%26cursor=-&tenant_id=",
        "?xcursor=-&search=åäö+b",
    ],
)
def test_link_to_another_part_has_all_filters_and_the_cursor_once(query, cursor):
    here = f"{ADDRESS}{query}"
    assert _link(here, cursor) == replace_query_param(here, "cursor", cursor)
