"""Where a partner of record is managed, who may attach one, and what being partner of record affects: texts as data.

Each row has its source. A new portal is a row of `TEXTS` and the pairs it manages in `data/portals.csv`. A change on a
day is two rows of `EFFECTS` with that day between them. Without a source there is no row.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from por.directory.rules import DATA, Agreement, Product

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


class PortalName(TextChoices):
    OFFICE_CUSTOMER = "office_customer_portal", _("Office customer portal")
    INTUNE_ACCOUNT = "intune_account_portal", _("Intune account portal")
    AZURE_ACCOUNT = "azure_account_centre", _("Azure account centre")
    ONLINE = "online_portal", _("Online portal")


@dataclass(frozen=True)
class PortalTexts:
    """The texts of a portal: the path to a subscription's partner, and the name of the action that attaches one."""

    path: tuple[LazyText, ...]
    action: LazyText
    source: str


TEXTS = {
    PortalName.OFFICE_CUSTOMER: PortalTexts((_("Subscription details"),), _("Add MPN ID"), "KB3185425, 2016"),
    PortalName.INTUNE_ACCOUNT: PortalTexts((_("Admin"), _("Manage details")), _("Add"), "KB3185425, 2016"),
    PortalName.AZURE_ACCOUNT: PortalTexts(
        (_("Subscriptions"), _("Partner information")),
        _("Enter partner ID"),
        "J. P. Dandison, Adding your valuable partner as Azure Digital Partner of Record, 2015-11-30 (secondary)",
    ),
    PortalName.ONLINE: PortalTexts((_("Billing"), _("Subscriptions")), _("Add partner of record"), "KB3185444, 2016"),
}


@dataclass(frozen=True)
class Portal:
    """Where a partner of record is managed, and who else than the customer may attach one there."""

    name: PortalName
    automatic: bool  # through the partner admin centre
    activation: bool  # by the partner with the customer's consent
    inferred: bool  # our interpretation; no source says so literally

    @property
    def words(self) -> PortalTexts:
        """Return the texts of this portal."""
        return TEXTS[self.name]


@cache
def _portals() -> dict[tuple[str, str], Portal]:
    with (DATA / "portals.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["agreement"], row["product"]): Portal(
                name=PortalName(row["portal"]),
                automatic=row["automatic"] == "1",
                activation=row["activation"] == "1",
                inferred=row["inferred"] == "1",
            )
            for row in csv.DictReader(file)
        }


@lru_cache(maxsize=256)
def portal_for(agreement: str, product: str) -> Portal:
    """Return the portal of an agreement and a product.

    A pair that is not in the table has the Online portal, for the customer only, as inferred.
    """
    portals = _portals()
    return portals.get((agreement, product)) or portals.get((agreement, "*")) or portals["*", "*"]


@lru_cache(maxsize=256)
def portal_code(agreement: str, product: str) -> str:
    """Return the name of the portal of an agreement and a product, as the API writes it."""
    return portal_for(agreement, product).name.value


ENTERPRISE = (Agreement.EA, Agreement.EAS, Agreement.CASA_EES)
NOT_CSP = tuple(agreement for agreement in Agreement if agreement != Agreement.CSP)
SEATS = tuple(product for product in Product if product != Product.AZURE)
BY_WORKLOAD = (Product.OFFICE365, Product.INTUNE, Product.AADP, Product.EMS)
SOLD_ONLINE = (Product.OFFICE365, Product.INTUNE, Product.CRM_ONLINE)


@dataclass(frozen=True)
class Effect:
    """One effect of being partner of record, under these agreements, for these products, from one day until another.

    The text about `who` it should be is a sentence. The other texts follow "they will" or "they will not".
    """

    about: Literal["who", "sees", "counts", "pays"]
    text: LazyText
    source: str
    agreements: tuple[str, ...] = tuple(Agreement)
    products: tuple[str, ...] = tuple(Product)
    since: date = date.min
    until: date = date.max  # the last day
    will: bool = True
    inferred: bool = False  # our interpretation; no source says so literally

    @property
    def plain(self) -> LazyText:
        """Return the text in short for a customer; the whole text names rules that only partners know."""
        return PLAIN.get((self.about, self.will), self.text)

    def holds(self, agreement: str, product: str, on: date) -> bool:
        """Return whether it applies to this pair on the day."""
        return agreement in self.agreements and product in self.products and self.since <= on <= self.until


#: What counts and what pays, in short for customers.
PLAIN = {
    ("counts", True): _("Get credit for it, as Microsoft’s rules allow, at no cost to you"),
    ("counts", False): _("Get credit for it from Microsoft"),
    ("pays", True): _("Earn money for it from Microsoft, at no cost to you"),
    ("pays", False): _("Earn money for it from Microsoft"),
}

#: Designations replaced competencies. Incentives for claims replaced those for being partner of record.
COMPETENCIES_UNTIL, DESIGNATIONS_SINCE = date(2022, 10, 2), date(2022, 10, 3)
CLAIMS_SINCE = date(2019, 10, 1)

EFFECTS = (
    Effect(
        "who",
        _("This should be the partner that leads the deployment."),
        "auspartners 2015-04-07, scenario 1; for EMS and CRM Online auspartners 2015, Changes to the process",
        ENTERPRISE,
        SEATS,
    ),
    Effect(
        "who",
        _("This should be the partner that took part in the purchase and that leads deployment and management."),
        "auspartners 2015-04-07, scenario 2",
        (Agreement.MOSP,),
        SOLD_ONLINE,
    ),
    Effect(
        "who",
        _("This should be the partner that manages the subscription."),
        "auspartners 2015-04-07, scenario 3",
        (Agreement.OPEN,),
        SOLD_ONLINE,
    ),
    Effect(
        "who",
        _("This should be the partner that drives consumption."),
        "auspartners 2015-04-07, scenario 4",
        (*ENTERPRISE, Agreement.MOSA),
        (Product.AZURE,),
    ),
    Effect("who", _("This should be the partner that does most to drive use."), "mpn-sweden 2016"),
    Effect(
        "sees",
        _("See seats, the renewal date and active users for every month"),
        "Partner Center, link-partner-id 2022: what data a DPOR sees; ours: every month",
        products=SEATS,
    ),
    Effect(
        "sees",
        _("See the renewal date and consumption for every month, in US dollars"),
        "Partner Center, link-partner-id 2022: what data a DPOR sees; ours: every month",
        products=(Product.AZURE,),
    ),
    Effect(
        "sees",
        _("Get Microsoft’s reports about it, such as technical updates and deployment information"),
        "auspartners 2015-04-07, scenario 3",
        (Agreement.OPEN,),
        SOLD_ONLINE,
    ),
    Effect(
        "counts",
        _("Count it towards Microsoft competencies"),
        "mpn-sweden 2016; auspartners 2015-04-07, scenario 3",
        NOT_CSP,
        until=COMPETENCIES_UNTIL,
    ),
    Effect(
        "counts",
        _(
            "Count it towards Microsoft’s Modern Work designation, which replaced the competencies, if more "
            "than 300 licences are paid for"
        ),
        "Partner Center, solutions-partner-modern-work 2023",
        NOT_CSP,
        (Product.OFFICE365, Product.INTUNE),
        since=DESIGNATIONS_SINCE,
    ),
    Effect(
        "counts",
        _(
            "Count the Intune part of it towards Microsoft’s Modern Work designation, which replaced the "
            "competencies, if more than 300 licences are paid for"
        ),
        "Partner Center, solutions-partner-modern-work 2023, names Intune, not the suite",
        NOT_CSP,
        (Product.EMS,),
        since=DESIGNATIONS_SINCE,
        inferred=True,
    ),
    Effect(
        "counts",
        _(
            "Count it towards a designation: the Security designation, which replaced the competency, counts "
            "only claims and sales"
        ),
        "Partner Center, solutions-partner-security 2023",
        NOT_CSP,
        (Product.AADP,),
        since=DESIGNATIONS_SINCE,
        will=False,
    ),
    Effect(
        "counts",
        _("Count it towards Microsoft’s Business Applications designation, which replaced the competencies"),
        "Partner Center, solutions-partner-business 2023",
        NOT_CSP,
        (Product.CRM_ONLINE,),
        since=DESIGNATIONS_SINCE,
    ),
    Effect(
        "counts",
        _("Count it towards Microsoft’s Azure designations, which replaced the competencies"),
        "Partner Center, solutions-partner-azure 2023",
        NOT_CSP,
        (Product.AZURE,),
        since=DESIGNATIONS_SINCE,
    ),
    Effect(
        "counts",
        _("Get the seller’s credit: under this agreement, competencies and incentives go to the seller"),
        "Partner Center, azure-usage-report 2023: CSP is associated by the transaction",
        (Agreement.CSP,),
        will=False,
        inferred=True,
    ),
    Effect(
        "pays",
        _("Earn an incentive from Microsoft for each active user"),
        "auspartners 2015, Changes to the process; KB3185425, KB3185107 2016",
        ENTERPRISE,
        BY_WORKLOAD,
        since=date(2015, 3, 2),
        until=date(2019, 9, 30),
    ),
    Effect(
        "pays",
        _("Earn an incentive from Microsoft for selling and managing it"),
        "auspartners 2015-04-07, scenario 2; KB3185444, KB3185117 2016",
        (Agreement.MOSP,),
        (Product.OFFICE365, Product.INTUNE),
        since=date(2015, 4, 7),
        until=date(2016, 9, 30),
    ),
    Effect(
        "pays",
        _("Earn an incentive from Microsoft for selling and managing it"),
        "KB3185117, 2016",
        (*ENTERPRISE, Agreement.MOSP),
        (Product.CRM_ONLINE,),
        since=date(2015, 4, 7),
        until=date(2019, 2, 28),
    ),
    Effect(
        "pays",
        _("Earn an incentive from Microsoft for active users: Open licences do not qualify"),
        "KB3082044, 2016",
        (Agreement.OPEN,),
        BY_WORKLOAD,
        until=date(2019, 9, 30),
        will=False,
    ),
    Effect(
        "pays",
        _("Earn an incentive from Microsoft for consumption, with a silver or gold Cloud Platform competency"),
        "azure.microsoft.com/partners/partner-of-record, 2015",
        (*ENTERPRISE, Agreement.MOSA),
        (Product.AZURE,),
        since=date(2015, 8, 1),
        until=date(2021, 9, 30),
    ),
    Effect(
        "pays",
        _(
            "Earn an incentive just for being the partner of record: an approved claim has been required since "
            "1 October 2019"
        ),
        "Partner Center, submit-osa-claim 2019-11",
        NOT_CSP,
        BY_WORKLOAD,
        since=CLAIMS_SINCE,
        will=False,
    ),
    Effect(
        "pays",
        _(
            "Earn an incentive just for being the partner of record: an approved claim has been required since "
            "March 2019"
        ),
        "KB4491739, 2019",
        NOT_CSP,
        (Product.CRM_ONLINE,),
        since=date(2019, 3, 1),
        will=False,
    ),
    Effect(
        "pays",
        _("Earn an incentive for being the partner of record: Azure has not paid one since 1 October 2021"),
        "Partner Center, earnings-revenue 2023",
        NOT_CSP,
        (Product.AZURE,),
        since=date(2021, 10, 1),
        will=False,
    ),
)
TRIAL = Effect(
    "counts",
    _("Count it towards anything while it is a trial"),
    "Partner Center, competency pages 2017–2019; KB3082044, 2016; solutions-partner-azure 2023",
    will=False,
)
OWN = Effect(
    "pays",
    _("Earn an incentive: this is the partner’s own subscription"),
    "mpn-sweden 2016; Partner Center, earnings-revenue 2023: CUSEQPTR",
    will=False,
)


def who(agreement: str, product: str, on: date) -> Effect:
    """Return the text about which partner should be partner of record, if several work for the customer."""
    return next(one for one in EFFECTS if one.about == "who" and one.holds(agreement, product, on))


def affects(agreement: str, product: str, on: date, *, trial: bool = False, own: bool = False) -> list[Effect]:
    """Return the effects on a day: what the partner of record sees, what that counts for and what it pays.

    A trial counts for nothing. A partner's own subscription counts and never pays.
    """
    found = [one for one in EFFECTS if one.about != "who" and one.holds(agreement, product, on)]
    if trial:
        return [one for one in found if one.about == "sees"] + [TRIAL]
    return [one for one in found if one.about != "pays"] + [OWN] if own else found
