"""The companies that every made-up estate begins with, for screens and examples."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

NORDVIK = "4471902"
NORDVIK_GROUP = "4471000"
NORDVIK_OY = "4471910"
HALDEN = "4410237"
SULDAL = "4410555"
LYNGBY = "4410777"


@dataclass(frozen=True)
class CastPartner:
    mpn_id: str
    name: str
    city: str
    country: str
    kind: str = "location"
    parent: str = ""
    status: str = "active"
    own_tenant: str = ""  # the name of the customer that is its own tenant


@dataclass(frozen=True)
class Held:
    """An association of a subscription of the cast. Days count back from today; `until` None means it is open."""

    mpn_id: str
    since: int | str  # days ago, or a date
    until: int | str | None = None
    kind: str = "dpor"


@dataclass(frozen=True)
class CastSubscription:
    product: str
    sku: str
    agreement: str
    seats: int | None
    age: int | str  # days since it started, or the date
    held: tuple[Held, ...] = ()
    renews_in: int = 200  # days; negative is in the past
    status: str = "active"
    trial: bool = False
    replaces: int | None = None  # the index of an earlier subscription of the same customer


@dataclass(frozen=True)
class CastClaim:
    """A claim that was approved elsewhere: of workloads, or of all subscriptions of CRM Online."""

    name: str
    mpn_id: str
    approved_on: int | date  # days ago, or the date
    workloads: tuple[str, ...] = ()
    of_crm: bool = False


@dataclass(frozen=True)
class CastCustomer:
    name: str
    domain: str
    segment: str
    subscriptions: tuple[CastSubscription, ...]
    held: tuple[Held, ...] = ()  # of the tenant
    claims: tuple[CastClaim, ...] = ()


PARTNERS = (
    CastPartner(NORDVIK_GROUP, "Nordvik Group", "Göteborg", "SE", kind="global"),
    CastPartner(NORDVIK, "Nordvik Cloud AB", "Göteborg", "SE", parent=NORDVIK_GROUP, own_tenant="Nordvik Cloud AB"),
    CastPartner(HALDEN, "Halden Konsult AB", "Uddevalla", "SE"),
    CastPartner(NORDVIK_OY, "Nordvik Cloud Oy", "Helsinki", "FI", parent=NORDVIK_GROUP),
    CastPartner(SULDAL, "Suldal Drift AS", "Stavanger", "NO", status="suspended"),
    CastPartner(LYNGBY, "Lyngby Systemer ApS", "Lyngby", "DK", status="closed"),
)

CUSTOMERS = (
    CastCustomer(
        "Västerhamn Energi AB",
        "vasterhamn.example",
        "enterprise",
        (
            CastSubscription("office365", "ENTERPRISEPACK", "EA", 420, 880, (Held(HALDEN, 700, 45),)),
            CastSubscription("office365", "ENTERPRISEPREMIUM", "EA", 60, 410, renews_in=320),
            CastSubscription("ems", "EMS", "EA", 420, 760, (Held(NORDVIK, 430),), renews_in=55),
            CastSubscription("intune", "INTUNE_A", "EAS", 150, 640, (Held(HALDEN, 500),), renews_in=90),
            CastSubscription("aadp", "AAD_PREMIUM", "EA", 420, 500, renews_in=230),
            CastSubscription(
                "crm_online", "CRMPLAN2", "MOSP", 20, 900, (Held(NORDVIK, 600, 170),), renews_in=-170, status="expired"
            ),
            CastSubscription(
                "crm_online",
                "CRMSTANDARD",
                "CSP",
                35,
                170,
                (Held(HALDEN, 170, None, "transacting"), Held(HALDEN, 170, None, "csp")),
                renews_in=195,
                replaces=5,
            ),
            CastSubscription("azure", "", "MOSA", None, 830, (Held(NORDVIK, 610),)),
            CastSubscription(
                "office365", "DESKLESSPACK", "OPEN", 80, 700, (Held(SULDAL, 400),), renews_in=-50, status="suspended"
            ),
            CastSubscription("office365", "ENTERPRISEPREMIUM", "MOSP", 25, 12, renews_in=18, trial=True),
        ),
        claims=(
            CastClaim("Exchange FRP Migrated FRP", NORDVIK, date(2020, 2, 3), ("exo", "spo")),
            CastClaim("Devices FRP Migrated FRP", HALDEN, date(2020, 3, 16), ("intune", "aadp")),
            CastClaim("Dynamics at Västerhamn", NORDVIK, 150, of_crm=True),
        ),
    ),
    CastCustomer(
        "Almviks kommun",
        "almvik.example",
        "public_sector",
        (
            CastSubscription(
                "office365",
                "ENTERPRISEPACK",
                "EA",
                610,
                "2014-02-01",
                (
                    Held(HALDEN, "2014-10-01", "2015-12-31", "osa_form"),
                    Held(NORDVIK, "2015-06-01", "2016-06-30", "osa_form"),
                    Held(NORDVIK_OY, "2016-02-01", None, "osa_form"),
                    Held(LYNGBY, 1300, 620),
                    Held(NORDVIK, 620),
                ),
            ),
            CastSubscription("ems", "EMSPREMIUM", "EA", 610, 520, (Held(NORDVIK, 510),)),
            CastSubscription("office365", "STANDARDWOFFPACK_FACULTY", "CASA_EES", 1450, 700, (Held(HALDEN, 380),)),
        ),
        (
            Held(NORDVIK, 620, None, "delegated_admin"),
            Held(NORDVIK, 500, None, "pal"),
            Held(NORDVIK_OY, 610, 430, "fasttrack"),
        ),
        (
            CastClaim("Teams FRP Migrated FRP", NORDVIK, date(2020, 5, 11), ("teams", "yammer")),
            CastClaim("Office at Almvik", HALDEN, 400, ("proplus",)),
        ),
    ),
    CastCustomer(
        "Brosund Bygg AB",
        "brosund.example",
        "smb",
        (
            CastSubscription(
                "office365", "O365_BUSINESS_PREMIUM", "MOSP", 48, 600, (Held(NORDVIK, 590),), renews_in=75
            ),
            CastSubscription("azure", "", "MOSA", None, 420, (Held(NORDVIK, 400),)),
            CastSubscription(
                "intune", "INTUNE_A", "OPEN", 48, 430, (Held(NORDVIK, 300),), renews_in=-14, status="grace"
            ),
        ),
    ),
    CastCustomer(
        "Hagelby Sjukvård",
        "hagelby.example",
        "public_sector",
        (
            CastSubscription(
                "office365", "ENTERPRISEPACK", "EAS", 980, 1000, (Held(HALDEN, 940, 450), Held(NORDVIK, 450))
            ),
            CastSubscription("aadp", "AAD_PREMIUM_P2", "EAS", 980, 480, (Held(NORDVIK, 440),), renews_in=40),
            CastSubscription("crm_online", "CRMSTANDARD", "EA", 64, 560, (Held(HALDEN, 520),)),
        ),
        claims=(CastClaim("Dynamics at Hagelby", HALDEN, 300, of_crm=True),),
    ),
    CastCustomer(
        "Torsnäs Hamn AB",
        "torsnas.example",
        "enterprise",
        (
            CastSubscription("office365", "STANDARDPACK", "CSP", 210, 460, (Held(NORDVIK, 455),), renews_in=270),
            CastSubscription("crm_online", "CRMSTANDARD", "MOSP", 30, 460, (Held(NORDVIK, 410),), renews_in=270),
            CastSubscription("azure", "", "EA", None, 640, (Held(HALDEN, 600, 210), Held(NORDVIK, 190))),
        ),
    ),
    CastCustomer(
        "Nordvik Cloud AB",
        "nordvik.example",
        "smb",
        (
            CastSubscription("office365", "ENTERPRISEPREMIUM", "EA", 85, 950, (Held(NORDVIK, 900),)),
            CastSubscription("ems", "EMSPREMIUM", "EA", 85, 950, (Held(NORDVIK, 900),)),
        ),
    ),
    # In November 2015 these were on legacy forms: one had moved already, two moved in time, two never moved, and one
    # went to a rival.
    CastCustomer(
        "Sandvika Fiber AB",
        "sandvika.example",
        "enterprise",
        (
            CastSubscription(
                "office365",
                "ENTERPRISEPACK",
                "EA",
                340,
                "2014-03-01",
                (Held(NORDVIK, "2014-06-01", "2016-02-29", "osa_form"), Held(NORDVIK, "2015-12-08")),
            ),
            CastSubscription(
                "intune", "INTUNE_A", "EA", 340, "2014-03-01", (Held(NORDVIK, "2014-06-01", None, "osa_form"),)
            ),
        ),
    ),
    CastCustomer(
        "Lidens kommun",
        "liden.example",
        "public_sector",
        (
            CastSubscription(
                "office365",
                "STANDARDPACK",
                "EAS",
                520,
                "2013-10-01",
                (Held(NORDVIK, "2014-02-01", "2015-10-20", "osa_form"), Held(NORDVIK, "2015-10-20")),
            ),
            CastSubscription("ems", "EMS", "EA", 520, "2015-02-01", (Held(NORDVIK, "2015-03-01", None, "osa_form"),)),
            CastSubscription(
                "crm_online",
                "CRMSTANDARD",
                "EA",
                45,
                "2014-05-01",
                (Held(NORDVIK, "2014-09-01", "2016-01-01", "osa_form"), Held(HALDEN, "2015-09-10")),
            ),
        ),
    ),
    CastCustomer(
        "Ekbackens skolor",
        "ekbacken.example",
        "public_sector",
        (
            CastSubscription(
                "office365",
                "STANDARDWOFFPACK_FACULTY",
                "CASA_EES",
                1150,
                "2014-08-01",
                (Held(NORDVIK, "2014-08-15", "2015-11-30", "osa_form"), Held(NORDVIK, "2015-11-30")),
            ),
        ),
    ),
)
SUBSCRIPTIONS = sum(len(customer.subscriptions) for customer in CUSTOMERS)
