"""Products, agreements, portals and the shape of an MPN ID: reference data, no database."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

DATA = Path(__file__).parent / "data"


class Product(TextChoices):
    OFFICE365 = "office365", _("Office 365")
    INTUNE = "intune", _("Microsoft Intune")
    AADP = "aadp", _("Azure AD Premium")
    CRM_ONLINE = "crm_online", _("CRM Online")
    EMS = "ems", _("Enterprise Mobility Suite")
    AZURE = "azure", _("Microsoft Azure")


class Agreement(TextChoices):
    EA = "EA", _("Enterprise Agreement")
    EAS = "EAS", _("Enterprise Agreement Subscription")
    CASA_EES = "CASA_EES", _("Campus and School Agreement")
    MOSP = "MOSP", _("Microsoft Online Subscription Program")
    MOSA = "MOSA", _("Microsoft Online Services Agreement")
    OPEN = "OPEN", _("Open licensing")
    CSP = "CSP", _("Cloud Solution Provider")


class Workload(TextChoices):
    EXO = "exo", _("Exchange Online")
    SPO = "spo", _("SharePoint Online")
    SFB = "sfb", _("Skype for Business")
    TEAMS = "teams", _("Teams")
    YAMMER = "yammer", _("Yammer")
    PROPLUS = "proplus", _("Office ProPlus")
    INTUNE = "intune", _("Intune")
    AADP = "aadp", _("Azure AD Premium")
    AIP = "aip", _("Azure Information Protection")
    CRM = "crm", _("CRM Online")
    AZURE = "azure", _("Azure")


class PortalName(TextChoices):
    OFFICE_CUSTOMER = "office_customer_portal", _("Office customer portal")
    INTUNE_ACCOUNT = "intune_account_portal", _("Intune account portal")
    AZURE_ACCOUNT = "azure_account_centre", _("Azure account centre")
    ONLINE = "online_portal", _("Online portal")


@dataclass(frozen=True)
class Portal:
    """Where a partner of record is managed, and who may attach one there besides the customer."""

    name: PortalName
    automatic: bool  # through the partner admin centre
    activation: bool  # by the partner with the customer's consent
    inferred: bool  # our reading; no source says so in as many words


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


def portal_for(agreement: str, product: str) -> Portal:
    """The portal of a pair; of any pair the table does not name, the Online portal, the customer only, inferred."""
    portals = _portals()
    return portals.get((agreement, product)) or portals.get((agreement, "*")) or portals["*", "*"]


MPN_ID = re.compile(r"[0-9]{4,10}")


def normal_mpn_id(text: str) -> str | None:
    """The ID without spaces and hyphens, or None if it cannot be one: 4 to 10 digits."""
    bare = re.sub(r"[\s\-\u2010-\u2015]", "", text)
    return bare if MPN_ID.fullmatch(bare) else None
