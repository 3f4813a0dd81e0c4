"""Names: no one reads another name than the stored one, wherever it was entered."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from associations.attaching.models import Consent
from por.accounts.models import Actor, Organisation, Token, User
from por.directory.models import Subscription
from por.errors import Refused
from por.names import clean
from tests.api import Api
from tests.estates import customer, load_one, partner
from tests.factories import make_staff
from tests.pages import signed_in

TURNED = "Elin\u202e grebdnaS"
WIDE = "El\u200bin\ufeff Sand\u00adberg "
MESSAGE = "The text contains an invisible character that changes its direction."


@pytest.mark.parametrize("mark", "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_mark_that_changes_the_direction_is_refused(mark: str) -> None:
    with pytest.raises(Refused) as refused:
        clean(f"Ek{mark} AB", field="name")
    assert (refused.value.code, refused.value.field) == ("direction_mark", "name")


@pytest.mark.parametrize("sign", "\u00ad\u200b\u200c\u200d\u2060\ufeff")
def test_character_of_no_width_is_removed(sign: str) -> None:
    assert clean(f" Ek{sign} \u00c5B{sign}") == "Ek \u00c5B"


def test_name_in_any_script_is_kept() -> None:
    for name in ("Ångström", "株式会社", "شركة النور", "חברה", "Zażółć"):
        assert clean(name) == name


def test_profile_stores_a_clean_name(admin: Actor) -> None:
    web = signed_in(admin)
    given = {"language": "en", "time_zone": "UTC", "theme": ""}
    page = web.post("/me", given | {"name": TURNED})
    assert (page.status_code, MESSAGE in page.text) == (422, True)
    assert web.post("/me", given | {"name": "\u200b"}).status_code == 422
    assert web.post("/me", given | {"name": WIDE}).status_code == 302
    assert User.objects.get(pk=admin.user.pk).name == "Elin Sandberg"


def test_token_has_a_clean_name(admin: Actor) -> None:
    web = signed_in(admin)
    given = {
        "organisation": admin.organisation.pk, "access": "read", "days": "30", "password": "four quiet words here",
    }  # fmt: skip
    admin.user.set_password(given["password"])
    admin.user.save()
    web = signed_in(admin)
    page = web.post("/me/tokens/", given | {"name": TURNED})
    assert (page.status_code, MESSAGE in page.text) == (422, True)
    web.post("/me/tokens/", given | {"name": WIDE})
    assert Token.objects.get().name == "Elin Sandberg"


def test_staff_have_clean_names() -> None:
    web = signed_in(make_staff("programme_administrator"))
    given = {"email": "elin@people.example", "role": "auditor", "language": "en"}
    page = web.post("/a/people/add/", given | {"name": TURNED})
    assert (page.status_code, MESSAGE in page.text) == (422, True)
    web.post("/a/people/add/", given | {"name": WIDE})
    assert User.objects.get(email="elin@people.example").name == "Elin Sandberg"
    with pytest.raises(CommandError, match=MESSAGE):
        call_command("add_staff", "arvid@people.example", role="auditor", name=TURNED, stdout=StringIO())


def test_files_store_clean_names(tmp_path: Path) -> None:
    for file, row in (("partners", partner), ("customers", customer)):
        assert load_one(tmp_path, file, row(name=TURNED)).codes == [("2", "name", "direction_mark")]
        assert load_one(tmp_path, file, row(name=WIDE)).failure == ""
    names = Organisation.objects.filter(kind__in=["partner", "customer"]).values_list("name", flat=True)
    assert list(names) == ["Elin Sandberg"] * 2


@pytest.fixture
def opened(subscription: Subscription) -> Subscription:
    subscription.agreement = "OPEN"
    subscription.save()
    return subscription


def test_consent_has_a_clean_name(opened: Subscription, amira: Actor) -> None:
    day = datetime.now(UTC).date().isoformat()
    body = {
        "mpn_id": amira.organisation.number,
        "consent": {"name": TURNED, "email": "e@people.example", "given_on": day},
    }
    api = Api(amira)
    path = f"subscriptions/{opened.subscription_id}/activate/"
    answer = api.post(path, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "direction_mark")
    web = signed_in(amira)
    form = {
        "subscription_id": str(opened.subscription_id), "mpn_id": amira.organisation.number, "consent_name": TURNED,
        "consent_email": "e@people.example", "consent": day,
    }  # fmt: skip
    assert MESSAGE in web.post("/p/activate/", form).text
    body["consent"]["name"] = WIDE
    assert api.post(path, body).status_code == 201
    assert Consent.objects.get().name == "Elin Sandberg"
