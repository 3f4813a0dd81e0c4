"""Products, agreements, workloads and the shape of an MPN ID: reference data, no database."""

from __future__ import annotations

import re
import uuid
from datetime import date
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


class RevenueKind(TextChoices):
    NET_NEW_CLOUD = "net_new_cloud", _("Net new cloud revenue")
    TOTAL = "total", _("Total revenue")


#: A credential of a person: what it is and its name, such as exam:70-347.
CREDENTIAL = r"[a-z][a-z_]{0,19}:[A-Z0-9][A-Z0-9._-]{0,39}"
#: The ID of an incentive programme, such as incentive.osu_m365.
ENROLMENT_PROGRAM = r"incentive\.[a-z0-9_]{1,30}"
MPN_ID = re.compile(r"[0-9]{4,10}")


def is_guid(text: str) -> bool:
    """Return whether the text is a GUID, as IDs of tenants and subscriptions are; also in braces or without hyphens."""
    try:
        uuid.UUID(text.strip())
    except ValueError:
        return False
    return True


def normal_credential(text: str) -> str | None:
    """Return the credential as it is compared, its type in small and its name in capital letters; None if malformed."""
    what, _colon, name = text.partition(":")
    found = f"{what.strip().lower()}:{name.strip().upper()}"
    return found if re.fullmatch(CREDENTIAL, found) else None


def normal_mpn_id(text: str) -> str | None:
    """Return the ID without spaces and hyphens; None if it does not have 4 to 10 digits."""
    bare = re.sub(r"[\s\-\u2010-\u2015]", "", text)
    return bare if MPN_ID.fullmatch(bare) else None


def missing_by(since: date | None, as_of: date | None) -> date | None:
    """Return since when no file names a subscription; as of a day, only if that was so by then, as it is known now."""
    return since if since is None or as_of is None or since <= as_of else None
