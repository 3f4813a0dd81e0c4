"""Forms of filters that share their fields."""

from __future__ import annotations

import pytest
from django.http import QueryDict

from associations.gaps.forms import GapFilter
from associations.subscriptions import templatetags
from associations.subscriptions.forms import SubscriptionFilter
from por.web.filters import FilterForm


def state(form: type[FilterForm]) -> dict[str, str]:
    """Return all that the fields of a class and their widgets know, as text."""
    return {
        name: repr(sorted((vars(field) | {"widget": vars(field.widget)}).items()))
        for name, field in form.base_fields.items()
    }


@pytest.mark.parametrize("form", [SubscriptionFilter, GapFilter])
def test_a_form_that_shares_its_fields_changes_none_of_them(form: type[FilterForm]) -> None:
    before = state(form)
    for query in ("status=active&search=x", "product=nothing&as_of=2999-01-01", "renews_before=2026-02-30"):
        given = form(QueryDict(query))
        given.is_valid()
        str(given)
    assert state(form) == before


def test_a_form_knows_nothing_of_another_one() -> None:
    wrong, right = SubscriptionFilter(QueryDict("product=nothing")), SubscriptionFilter(QueryDict("product=azure"))
    assert not wrong.is_valid()
    assert right.is_valid()
    assert right.cleaned_data["product"] == "azure"
    assert 'value="azure" selected' in str(right["product"])
    assert "aria-invalid" in str(wrong["product"])
    assert wrong.fields is not right.fields


def test_of_what_is_entered_only_choices_are_remembered() -> None:
    templatetags._empty_or_chosen.cache_clear()
    for text in ("nothing", "nowhere", "never"):
        form = SubscriptionFilter(QueryDict(f"product={text}&as_of=2026-03-31"))
        form.is_valid()
        for name in ("product", "as_of"):
            assert str(form[name]) == templatetags._field(form, name)
    assert templatetags._empty_or_chosen.cache_info().currsize == 0

    form = SubscriptionFilter(QueryDict("product=azure"))
    form.is_valid()
    for name in ("product", "as_of"):
        assert str(form[name]) == templatetags._field(form, name) == templatetags._field(form, name)
    assert templatetags._empty_or_chosen.cache_info().currsize == 2
