"""One partner for several subscriptions at once: chosen in the list, checked once, attached one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from associations import actions, reading
from associations.forms import CheckForm, SeveralForm
from associations.views.shared import checked
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import Kind
from por.directory.models import Partner, Subscription
from por.errors import Absent, Refused
from por.http import NOT_YOURS, only

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

#: In this order on the page, so that what belongs together stands together.
ORDER = ("product", "pk")


@dataclass(frozen=True)
class Outcome:
    """What became of one subscription, or what stands in its way beforehand; the sentence is for the customer."""

    subscription: Subscription
    code: Literal["free", "attached", "unchanged", "refused"]
    sentence: str | LazyText = ""


@require_http_methods(["GET", "HEAD", "POST"])
@only(Kind.CUSTOMER, to="record.attach")
def several_attach(request: Request) -> HttpResponse:
    """Shows what was chosen; on Check ID, who the partner is; on OK, what became of each subscription."""
    actor = request.actor
    chosen = SeveralForm(request.POST or request.GET)
    valid = chosen.is_valid()
    subscriptions = _theirs(actor, chosen) if valid else []
    sent = request.method == "POST"
    check = CheckForm(request.POST) if sent else CheckForm()
    partner, outcomes = None, []
    if sent and valid and subscriptions:
        confirmed = request.POST.get("step") == "attach"
        if confirmed and check.is_valid():
            outcomes = _attach(actor, subscriptions, check)
        elif not confirmed:
            partner = checked(actor, check)
    wrong = next((form for form in (chosen, check) if form.errors), None)
    return render(
        request,
        "associations/several_attach.html",
        {
            "form": wrong,
            "check_form": check,
            "partner": partner,
            "subscriptions": subscriptions,
            "rows": outcomes or _prospects(actor, subscriptions, partner),
            "done": outcomes,
            "attached": sum(one.code == "attached" for one in outcomes),
        },
        status=422 if wrong else 200,
    )


def _theirs(actor: Actor, chosen: SeveralForm) -> list[Subscription]:
    """All that were chosen; if even one is not theirs, nothing is to be seen at all."""
    ids = chosen.cleaned_data["subscription"]
    found = reading.subscriptions_for_listing(actor).filter(subscription_id__in=ids).order_by(*ORDER)
    subscriptions = list(found)
    if len(subscriptions) != len(ids):
        raise Absent("not_found", NOT_YOURS)
    return subscriptions


def _prospects(actor: Actor, subscriptions: Sequence[Subscription], partner: Partner | None) -> list[Outcome]:
    """What would become of each if one were to press OK now."""
    prospects = []
    for row in reading.rows(actor, subscriptions):
        if row.record is not None:
            same = partner is not None and row.record.partner_id == partner.pk
            sentence = _("Already of record.") if same else _("%(partner)s is of record and stays.")
            holder = {"partner": row.record.partner.organisation.name}
            prospects.append(Outcome(row.subscription, "unchanged" if same else "refused", str(sentence) % holder))
        elif row.subscription.status != Subscription.Status.ACTIVE:
            prospects.append(Outcome(row.subscription, "refused", _("It is not active, so nobody can be attached.")))
        else:
            prospects.append(Outcome(row.subscription, "free"))
    return prospects


def _attach(actor: Actor, subscriptions: Sequence[Subscription], check: CheckForm) -> list[Outcome]:
    """Each in a transaction of its own: what one refuses takes nothing from the others."""
    outcomes = []
    for subscription in subscriptions:
        try:
            attached = actions.attach(subscription.subscription_id, check.cleaned_data["mpn_id"], by=actor)
        except Refused as refused:
            if refused.field == "mpn_id":  # the ID itself, and so the same for all of them
                check.add_error("mpn_id", str(refused.sentence))
                return []
            outcomes.append(Outcome(subscription, "refused", refused.sentence))
        else:
            same = attached.outcome == "unchanged"
            outcomes.append(
                Outcome(subscription, "unchanged" if same else "attached", _("Already of record.") if same else "")
            )
    return outcomes
