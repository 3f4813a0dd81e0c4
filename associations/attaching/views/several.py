"""One partner for several subscriptions: selected in the list, checked once, attached one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from associations.attaching.actions import attach as attaching
from associations.attaching.events import ATTACHED_MAIL
from associations.attaching.forms import AttachForm, CheckForm, SeveralForm
from associations.attaching.views.shared import being_of_record, checked, is_told_of_end
from associations.change_requests.models import ChangeRequest
from associations.change_requests.queries import told
from associations.record import queries
from associations.record.holdings import holdings
from associations.record.models import Association
from associations.record.queries import BY_PRODUCT
from associations.record.usage import MonthOfUsage
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Partner, Subscription
from por.directory.portals import Effect
from por.directory.rules import normal_mpn_id
from por.errors import NotFound, Refused
from por.web.pages import NOT_YOURS, add_refusal

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


@dataclass(frozen=True)
class Outcome:
    """The outcome of attaching one subscription, or before that its prospect; `message` is for the customer."""

    subscription: Subscription
    usage: MonthOfUsage | None
    code: Literal["free", "attached", "moves", "moved", "unchanged", "change_requested", "refused"]
    message: str | LazyText = ""
    change_request: ChangeRequest | None = None


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.CUSTOMER, to=Right.ATTACH)
def several_attach(request: Request) -> HttpResponse:
    """Show the selected subscriptions; after Check ID the partner; after Attach the outcome of each subscription."""
    actor = request.actor
    chosen = SeveralForm(request.POST or request.GET)
    valid = chosen.is_valid()
    subscriptions = get_chosen(actor, chosen) if valid else []
    sent = request.method == "POST"
    check = CheckForm(request.POST) if sent else CheckForm()
    partner, outcomes = None, []
    rows = queries.rows(actor, subscriptions)
    if sent and valid and subscriptions:
        confirmed = request.POST.get("step") == "attach"
        if confirmed and check.is_valid():
            outcomes = _attach(actor, rows, check)
        elif not confirmed:
            partner = checked(actor, check)
    wrong = next((form for form in (chosen, check) if form.errors), None)
    return _page(request, rows, check, partner=partner, outcomes=outcomes, wrong=wrong)


def attach_too(
    request: Request,
    subscription: Subscription,
    attached: attaching.Attached,
    others: Sequence[Subscription],
    form: AttachForm,
) -> HttpResponse:
    """Attach the partner of this subscription to others as well, as the form says; show the outcome of each."""
    given = form.cleaned_data
    row, *rows = queries.rows(request.actor, [subscription, *others])
    outcomes = [_outcome(row, attached)]
    for one in rows:
        try:
            done = _attach_one(request.actor, one, given["mpn_id"], began_on=given["began_on"], note=given["note"])
        except Refused as refused:
            done = Outcome(one.subscription, one.usage, "refused", refused.message)
        outcomes.append(done)
    check = CheckForm({"mpn_id": given["mpn_id"]})
    check.is_valid()
    return _page(request, [row, *rows], check, outcomes=outcomes)


def _page(
    request: Request,
    rows: Sequence[queries.Row],
    check: CheckForm,
    *,
    partner: Partner | None = None,
    outcomes: Sequence[Outcome] = (),
    wrong: Form | None = None,
) -> HttpResponse:
    shown = outcomes or prospects(rows, partner)
    subscriptions = [row.subscription for row in rows]
    return render(
        request,
        "attaching/several_attach.html",
        {
            "form": wrong,
            "check_form": check,
            "partner": partner,
            "subscriptions": subscriptions,
            "rows": shown,
            "said": meaning(partner, shown) if partner else [],
            "holdings": holdings(partner, subscriptions) if partner and subscriptions else None,
            "done": outcomes,
            "told": told({attached: ATTACHED_MAIL}) if (attached := _attached_to(outcomes, check)) else [],
            "told_of_end": partner is None or is_told_of_end(partner),
            "attached": sum(one.code in {"attached", "moved"} for one in outcomes),
            "asked": sum(one.code == "change_requested" for one in outcomes),
        },
        status=422 if wrong else 200,
    )


def get_chosen(actor: Actor, chosen: SeveralForm) -> list[Subscription]:
    """Return the selected subscriptions. Raises NotFound if the actor may not see one of them."""
    ids = chosen.cleaned_data["subscription"]
    found = queries.subscriptions_for_listing(actor).filter(subscription_id__in=ids).order_by(*BY_PRODUCT)
    subscriptions = list(found)
    if len(subscriptions) != len(ids):
        raise NotFound("not_found", NOT_YOURS)
    return subscriptions


def prospects(rows: Iterable[queries.Row], partner: Partner | None) -> list[Outcome]:
    """Return what would happen to each subscription if the partner were attached now."""
    found = []
    for row in rows:
        if row.record is not None and partner is not None and row.record.partner_id == partner.pk:
            found.append(Outcome(row.subscription, row.usage, "unchanged", _("Already the partner of record.")))
        elif row.subscription.status != Subscription.Status.ACTIVE:
            message = _("You cannot attach a partner because this subscription is not active.")
            found.append(Outcome(row.subscription, row.usage, "refused", message))
        elif row.record is not None and partner is not None and partner.is_of_same_company_as(row.record.partner):
            found.append(Outcome(row.subscription, row.usage, "moves", _moves(row.record)))
        elif row.record is not None:
            found.append(Outcome(row.subscription, row.usage, "change_requested", _stays(row.record)))
        else:
            found.append(Outcome(row.subscription, row.usage, "free"))
    return found


def _stays(held: Association) -> str:
    """Return the message for a subscription with another partner of record."""
    message = _("%(partner)s is the partner of record and stays. We will ask you which partner is doing the work.")
    return str(message) % {"partner": held.partner.organisation.name}


def _moves(held: Association) -> str:
    """Return the message for a subscription of another location of the same company."""
    message = _("From %(partner)s, a location of the same company. Nobody is asked.")
    return str(message) % {"partner": held.partner.organisation.name}


def meaning(partner: Partner, outcomes: Iterable[Outcome]) -> list[tuple[str, list[Effect]]]:
    """Return what being the partner of record would mean: first for all of the subscriptions, then for some."""
    kinds: dict[tuple[Effect, ...], dict[str, None]] = defaultdict(dict)
    for subscription in (one.subscription for one in outcomes if one.code == "free"):
        own = partner.own_tenant_id == subscription.customer.tenant_id
        kind = f"{subscription.get_product_display()}, {subscription.get_agreement_display()}"
        kinds[tuple(being_of_record(subscription, own=own)["affects"])][kind] = None
    for_all = [one for one in next(iter(kinds), ()) if all(one in affects for affects in kinds)]
    for_some = [(" · ".join(kind), [one for one in affects if one not in for_all]) for affects, kind in kinds.items()]
    return [
        (str(_("What being the partner of record means")), for_all),
        *((title, rest) for title, rest in for_some if rest),
    ]


def _attach(actor: Actor, rows: Iterable[queries.Row], check: CheckForm) -> list[Outcome]:
    """Attach each in a transaction of its own, so that one refusal does not affect the others; return the outcomes."""
    outcomes = []
    for row in rows:
        try:
            outcomes.append(_attach_one(actor, row, check.cleaned_data["mpn_id"]))
        except Refused as refused:  # about the ID, so it is the same for all
            add_refusal(check, refused)
            return []
    return outcomes


def _attach_one(
    actor: Actor, row: queries.Row, mpn_id: str, *, began_on: date | None = None, note: str = ""
) -> Outcome:
    """Attach the partner to one subscription; return the outcome. Raises Refused if it is about the MPN ID."""
    key = row.subscription.subscription_id
    try:
        attached = attaching.attach(key, mpn_id, by=actor, began_on=began_on, note=note)
    except Refused as refused:
        if refused.field == "mpn_id":
            raise
        return Outcome(row.subscription, row.usage, "refused", refused.message)
    return _outcome(row, attached)


def _attached_to(outcomes: Sequence[Outcome], check: CheckForm) -> Partner | None:
    """Return the partner, if it was attached to any of the subscriptions."""
    if all(one.code not in {"attached", "moved"} for one in outcomes):
        return None
    mpn_id = normal_mpn_id(check.cleaned_data["mpn_id"])
    return Partner.objects.select_related("organisation").get(mpn_id=mpn_id)


def _outcome(row: queries.Row, attached: attaching.Attached) -> Outcome:
    match attached.outcome:
        case "unchanged":
            return Outcome(row.subscription, row.usage, "unchanged", _("Already the partner of record."))
        case "change_requested":
            message = _stays(attached.association)
            return Outcome(row.subscription, row.usage, "change_requested", message, attached.request)
        case "moved":
            return Outcome(row.subscription, row.usage, "moved", _moves(row.record) if row.record else "")
        case _:
            return Outcome(row.subscription, row.usage, "attached")
