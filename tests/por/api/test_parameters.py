"""A parameter of the query that there is not is refused, with the name of the nearest one there is."""

from __future__ import annotations

from typing import Any

import pytest

from associations.jobs.models import Job
from por.api.views import document
from tests.api import Api
from tests.factories import make_subscription

READ = [
    "me/",
    "subscriptions/",
    "subscriptions/{id}/",
    "subscriptions/{id}/history/",
    "subscriptions/{id}/usage/",
    "associations/",
    "change-requests/",
    "invitations/",
    "notifications/",
]


def refused(response: Any) -> list[tuple[str, str, str]]:
    assert response.status_code == 422
    return [(one["field"], one["code"], one["detail"]) for one in response.json()["errors"]]


@pytest.mark.parametrize("path", READ)
def test_every_read_refuses_a_parameter_that_it_does_not_have(api, subscription, path):
    response = api.get(path.format(id=subscription.subscription_id), {"no_such_thing": "1"})
    ((field, code, detail),) = refused(response)
    assert (field, code) == ("no_such_thing", "unknown_parameter")
    assert detail.startswith("This parameter does not exist.")


@pytest.mark.parametrize(
    ("given", "nearest"), [("serach", "search"), ("partner-of-record", "partner_of_record"), ("pagesize", "page_size")]
)
def test_the_nearest_parameter_is_named(api, given, nearest):
    ((field, _code, detail),) = refused(api.get("subscriptions/", {given: "x"}))
    assert (field, detail) == (given, f"This parameter does not exist. Did you mean {nearest}?")


def test_a_mistyped_dry_run_never_runs_in_earnest(api, customer, partner):
    rows = {"rows": [{"subscription_id": str(make_subscription(customer).subscription_id), "mpn_id": partner.mpn_id}]}
    for query in ("dryrun=true", "dry-run=true", "dry_run=true&dry_run=false"):
        response = api.post(f"bulk/partner-of-record/?{query}", rows)
        ((_field, code, detail),) = refused(response)
        assert code in {"unknown_parameter", "parameter_twice"}
        assert code == "parameter_twice" or detail.endswith("Did you mean dry_run?")
    assert not Job.objects.exists()
    assert api.post("bulk/partner-of-record/?dry_run=true", rows).status_code == 202
    assert Job.objects.get().dry_run


def test_a_write_without_parameters_refuses_any(api, subscription, partner):
    path = f"subscriptions/{subscription.subscription_id}/partner-of-record/?dry_run=true"
    ((field, code, _detail),) = refused(api.put(path, {"mpn_id": partner.mpn_id}, If_Match="*"))
    assert (field, code) == ("dry_run", "unknown_parameter")
    assert not subscription.associations.exists()


def test_who_is_not_signed_in_learns_of_no_parameter():
    assert Api().get("subscriptions/", {"no_such_thing": "1"}).status_code == 401


def test_every_parameter_in_the_document_is_known(api, subscription):
    for path, methods in document()["paths"].items():
        names = [one["name"] for one in methods.get("get", {}).get("parameters", []) if one["in"] == "query"]
        if "{" in path or not names:
            continue
        response = api.get(path, dict.fromkeys(names, "x"))
        codes = {one["code"] for one in response.json().get("errors", [])} if response.status_code == 422 else set()
        assert "unknown_parameter" not in codes, path
