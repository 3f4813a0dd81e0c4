"""The events of what files change about an organisation: its name, its global account, its contact, its own tenant,
and what of its enrolments is complete."""

from __future__ import annotations

from functools import partial
from typing import TypedDict

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from por.accounts.events import ORGANISATION
from por.accounts.rules import OrganisationKind
from por.history.actions.recording import organisation_of
from por.history.events import Choice, EventType, Link, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_organisation
from por.notifications.messages import Mail, MailContext, mail


class OrganisationEvent(EventType):
    RENAMED = "organisation.renamed"
    PARENT_CHANGED = "organisation.parent_changed"
    BECAME_LOCATION = "organisation.became_location"
    BECAME_GLOBAL = "organisation.became_global"
    CONTACT_CHANGED = "organisation.contact_changed"
    TENANT_CHANGED = "organisation.tenant_changed"
    ENROLMENT_CHANGED = "organisation.enrolment_changed"


class Changed(TypedDict):
    """The name of the organisation after the event, and what has changed; "" for none."""

    name: str
    before: str
    now: str


class ContactChanged(TypedDict):
    """The name of the organisation. Addresses are left out: they could never be erased from a chain."""

    name: str


class EnrolmentChanged(TypedDict):
    """The name of the partner, the programme, and each day that has changed: before and now, None for none."""

    name: str
    program: str
    days: dict[str, list[str | None]]


BOTH = (OrganisationKind.PARTNER, OrganisationKind.CUSTOMER)


def _notify(event: Event, message: Mail) -> None:
    """Notify the organisation, and those that are parties to the event."""
    for organisation_id in (organisation_of(event.chain), *event.parties):
        if organisation_id is not None:
            notify_organisation(event, message, organisation_id=organisation_id, held=True)


class ChangedContext(MailContext):
    name: str
    before: str
    now: str


class ContactContext(MailContext):
    name: str


class EnrolmentContext(MailContext):
    name: str
    program: str


def _changed(event: Event) -> ChangedContext:
    changes = event.changes
    rows = [(gettext("Before"), changes["before"] or "–"), (gettext("Now"), changes["now"] or "–")]
    return {"name": changes["name"], "before": changes["before"], "now": changes["now"], "rows": rows}


def _contact(event: Event) -> ContactContext:
    return {"name": event.changes["name"], "rows": []}


#: What each day of an enrolment says.
ENROLMENT_DAYS = {
    "agreement_signed_on": _("Agreement signed"),
    "bank_ok_on": _("Bank details complete"),
    "tax_ok_on": _("Tax details complete"),
}


def _enrolment(event: Event) -> EnrolmentContext:
    changes = event.changes
    rows = [(str(ENROLMENT_DAYS[day]), _pair(*pair)) for day, pair in sorted(changes["days"].items())]
    return {"name": changes["name"], "program": changes["program"], "rows": rows}


def _pair(before: str | None, now: str | None) -> str:
    return f"{before or '–'} → {now or '–'}"


def _enrolment_values(payload: EnrolmentChanged) -> EnrolmentChanged:
    return payload


def _enrolment_detail(event: Event) -> str:
    return " · ".join([event.changes["program"], *(f"{what}: {pair}" for what, pair in _enrolment(event)["rows"])])


def _values(payload: Changed) -> Changed:
    return payload


def _name(payload: ContactChanged) -> ContactChanged:
    return payload


def _detail(event: Event) -> str:
    return f"{event.changes['before'] or '–'} → {event.changes['now'] or '–'}"


def _inbox(event: Event) -> str:
    return reverse("notifications:inbox")


_mail = partial(mail, to=BOTH, action=_("Open inbox"), url=_inbox)

RENAMED_MAIL = _mail(
    "organisation_renamed",
    None,
    title=_("An organisation has a new name"),
    subject=_("%(before)s is now called %(now)s"),
    paragraphs=(_("Imported files changed the name of %(before)s to %(now)s."),),
    context=_changed,
    inbox=_("%(before)s is now called %(now)s."),
    values=_values,
)
PARENT_MAIL = _mail(
    "organisation_parent_changed",
    None,
    title=_("A location belongs to another global account"),
    subject=Choice(
        "now", {"": _("%(name)s no longer belongs to %(before)s")}, _("%(name)s is now a location of %(now)s")
    ),
    paragraphs=(
        Choice(
            "now",
            {"": _("Imported files say that %(name)s no longer belongs to %(before)s.")},
            (
                _("Imported files say that %(name)s is a location of %(now)s."),
                _("The people of %(now)s can see everything that %(name)s can see."),
            ),
        ),
        Choice("before", {"": ()}, _("The people of %(before)s can no longer see it.")),
    ),
    context=_changed,
    inbox=Choice(
        "now", {"": _("%(name)s no longer belongs to %(before)s.")}, _("%(name)s is now a location of %(now)s.")
    ),
    values=_values,
)
BECAME_LOCATION_MAIL = _mail(
    "organisation_became_location",
    None,
    title=_("A global account became a location"),
    subject=Choice(
        "now", {"": _("%(name)s is no longer a global account")}, _("%(name)s is now a location of %(now)s")
    ),
    paragraphs=(
        Choice(
            "now",
            {"": _("Imported files say that %(name)s, until now a global account, is a location by itself.")},
            (
                _("Imported files say that %(name)s, until now a global account, is a location of %(now)s."),
                _("The people of %(now)s can see everything that %(name)s can see."),
            ),
        ),
        _("The people of %(name)s no longer see other locations. Customers can name it as the partner of record."),
    ),
    context=_changed,
    inbox=Choice(
        "now", {"": _("%(name)s is no longer a global account.")}, _("%(name)s is now a location of %(now)s.")
    ),
    values=_values,
)
BECAME_GLOBAL_MAIL = _mail(
    "organisation_became_global",
    None,
    title=_("A location became a global account"),
    subject=_("%(name)s is now a global account"),
    paragraphs=(
        _("Imported files say that %(name)s, until now a location, is a global account."),
        Choice("before", {"": ()}, _("The people of %(before)s can no longer see it.")),
        _("The people of %(name)s see what its locations see. Customers name one of these as the partner of record."),
    ),
    context=_changed,
    inbox=_("%(name)s is now a global account."),
    values=_values,
)
CONTACT_MAIL = _mail(
    "organisation_contact_changed",
    None,
    title=_("Your organisation has another contact"),
    subject=_("Imported files name another contact of %(name)s"),
    paragraphs=(
        _(
            "Imported files name another contact of %(name)s. Whoever is named becomes an administrator. Whoever was "
            "one because an earlier file named them no longer is."
        ),
    ),
    context=_contact,
    inbox=_("Imported files name another contact of %(name)s."),
    values=_name,
)
TENANT_MAIL = _mail(
    "organisation_tenant_changed",
    None,
    title=_("Your organisation has another tenant of its own"),
    subject=_("Imported files changed the tenant of %(name)s"),
    paragraphs=(_("Imported files say that %(name)s has another tenant of its own."),),
    context=_changed,
    inbox=_("Imported files changed the tenant of %(name)s."),
    values=_values,
)

ENROLMENT_MAIL = mail(
    "organisation_enrolment_changed",
    None,
    to=(OrganisationKind.PARTNER,),
    action=_("Open inbox"),
    url=_inbox,
    title=_("An enrolment has changed"),
    subject=_("Imported files changed the enrolment of %(name)s in %(program)s"),
    paragraphs=(_("Imported files changed the enrolment of %(name)s in %(program)s."),),
    context=_enrolment,
    inbox=_("Imported files changed your enrolment in %(program)s."),
    values=_enrolment_values,
)

_register = partial(register, about=("partner", "customer"), tone="info", groups=(ORGANISATION,), link=Link("partner"))
_register(
    OrganisationEvent.RENAMED,
    payload=Changed,
    here=_("Renamed by a file"),
    elsewhere=_("{object} was renamed by a file"),
    icon="info",
    mails=(RENAMED_MAIL,),
    notify=partial(_notify, message=RENAMED_MAIL),
    detail=_detail,
)
_register(
    OrganisationEvent.PARENT_CHANGED,
    payload=Changed,
    here=_("Moved to another global account by a file"),
    elsewhere=_("{object} was moved to another global account by a file"),
    icon="link",
    mails=(PARENT_MAIL,),
    notify=partial(_notify, message=PARENT_MAIL),
    detail=_detail,
)
_register(
    OrganisationEvent.BECAME_LOCATION,
    payload=Changed,
    here=_("A file made it a location"),
    elsewhere=_("A file made {object} a location"),
    icon="link",
    mails=(BECAME_LOCATION_MAIL,),
    notify=partial(_notify, message=BECAME_LOCATION_MAIL),
    detail=_detail,
)
_register(
    OrganisationEvent.BECAME_GLOBAL,
    payload=Changed,
    here=_("A file made it a global account"),
    elsewhere=_("A file made {object} a global account"),
    icon="link",
    mails=(BECAME_GLOBAL_MAIL,),
    notify=partial(_notify, message=BECAME_GLOBAL_MAIL),
    detail=_detail,
)
_register(
    OrganisationEvent.CONTACT_CHANGED,
    payload=ContactChanged,
    here=_("Another contact was named by a file"),
    elsewhere=_("Another contact of {object} was named by a file"),
    icon="person",
    mails=(CONTACT_MAIL,),
    notify=partial(_notify, message=CONTACT_MAIL),
)
_register(
    OrganisationEvent.TENANT_CHANGED,
    payload=Changed,
    here=_("A file changed the partner’s own tenant"),
    elsewhere=_("A file changed the own tenant of {object}"),
    icon="info",
    mails=(TENANT_MAIL,),
    notify=partial(_notify, message=TENANT_MAIL),
    detail=_detail,
)
_register(
    OrganisationEvent.ENROLMENT_CHANGED,
    payload=EnrolmentChanged,
    about=("partner",),
    here=_("A file changed an enrolment"),
    elsewhere=_("A file changed an enrolment of {object}"),
    icon="info",
    mails=(ENROLMENT_MAIL,),
    notify=partial(_notify, message=ENROLMENT_MAIL),
    detail=_enrolment_detail,
)
