"""The products of a made-up estate: real SKUs under fitting agreements."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from random import Random

from por.directory.rules import DATA

SKUS: dict[str, dict[str, tuple[str, ...]]] = {
    "office365": {
        "enterprise": ("ENTERPRISEPACK", "ENTERPRISEPACK", "ENTERPRISEPREMIUM", "STANDARDPACK", "DESKLESSPACK"),
        "smb": ("O365_BUSINESS_PREMIUM", "O365_BUSINESS_PREMIUM", "O365_BUSINESS_ESSENTIALS", "EXCHANGESTANDARD"),
        "public_sector": ("ENTERPRISEPACK", "STANDARDPACK", "DESKLESSPACK"),
    },
    "intune": dict.fromkeys(("enterprise", "smb", "public_sector"), ("INTUNE_A",)),
    "aadp": dict.fromkeys(("enterprise", "smb", "public_sector"), ("AAD_PREMIUM", "AAD_PREMIUM", "AAD_PREMIUM_P2")),
    "crm_online": dict.fromkeys(("enterprise", "smb", "public_sector"), ("CRMSTANDARD", "CRMPLAN2")),
    "ems": dict.fromkeys(("enterprise", "smb", "public_sector"), ("EMS", "EMS", "EMSPREMIUM")),
    "azure": dict.fromkeys(("enterprise", "smb", "public_sector"), ("",)),
}
SCHOOL_SKUS = ("STANDARDWOFFPACK_FACULTY", "ENTERPRISEPACKPLUS_FACULTY", "ENTERPRISEPREMIUM_FACULTY")

AGREEMENTS = {
    "enterprise": ("EA", "EA", "EA", "EAS", "EAS", "CSP", "MOSP"),
    "smb": ("MOSP", "MOSP", "OPEN", "OPEN", "CSP", "CSP"),
    "public_sector": ("EA", "EA", "EAS", "CASA_EES", "CASA_EES", "OPEN"),
}
AZURE_AGREEMENTS = {
    "enterprise": ("EA", "EA", "MOSA", "CSP"),
    "smb": ("MOSA", "MOSA", "CSP"),
    "public_sector": ("EA", "CASA_EES", "MOSA"),
}

#: In this order, at most MOST per subscription, of which the first ALWAYS are always used.
WORKLOADS = ("exo", "teams", "proplus", "spo", "sfb", "yammer", "intune", "aadp", "aip", "crm")
ALWAYS = 2
MOST = 4


def agreement_and_sku(product: str, segment: str, random: Random) -> tuple[str, str]:
    """Return an agreement and a SKU for a product and a segment."""
    agreement = random.choice((AZURE_AGREEMENTS if product == "azure" else AGREEMENTS)[segment])
    school = product == "office365" and agreement == "CASA_EES"
    return agreement, random.choice(SCHOOL_SKUS if school else SKUS[product][segment])


def workloads_of(sku: str, random: Random) -> list[str]:
    """Return the workloads of the SKU that one customer uses."""
    known = _workloads()[sku]
    ordered = [workload for workload in WORKLOADS if workload in known]
    if len(ordered) <= MOST:
        return ordered
    chosen = random.sample(range(ALWAYS, len(ordered)), MOST - ALWAYS)
    return ordered[:ALWAYS] + [ordered[place] for place in sorted(chosen)]


def all_workloads_of(sku: str) -> set[str]:
    """Return all workloads of the SKU."""
    return _workloads()[sku] if sku else set()


@cache
def _workloads() -> dict[str, set[str]]:
    """Return for each SKU the workloads of its service plans."""
    with (DATA / "workloads.csv").open(encoding="utf-8", newline="") as file:
        workload = {row["service_plan_string_id"]: row["workload"] for row in csv.DictReader(file)}
    found: dict[str, set[str]] = defaultdict(set)
    with (DATA / "skus.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["service_plan_string_id"] in workload:
                found[row["sku_string_id"]].add(workload[row["service_plan_string_id"]])
    return found
