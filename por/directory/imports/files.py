"""The files of the directory that can be imported. docs/estates.md describes their rows."""

from __future__ import annotations

from dataclasses import replace

from por.directory.imports import absent
from por.directory.imports.consumption import CONSUMPTION
from por.directory.imports.credentials import CREDENTIALS
from por.directory.imports.enrolments import ENROLMENTS
from por.directory.imports.organisations import CUSTOMERS, PARTNERS
from por.directory.imports.revenue import REVENUE
from por.directory.imports.skus import SKUS
from por.directory.imports.subscriptions import SUBSCRIPTIONS
from por.directory.imports.usage import USAGE

#: In the order of the import: each after the files it refers to.
FILES = (
    *(PARTNERS, CUSTOMERS, ENROLMENTS, CREDENTIALS, SKUS),
    replace(SUBSCRIPTIONS, named_by="subscription_id", find_absent=absent.find, mark=absent.mark),
    *(USAGE, REVENUE, CONSUMPTION),
)
