"""The programmes in which a partner can claim, its roles in them, and what a role leads to."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Program(TextChoices):
    OSU_M365 = "osu_m365", _("Online Services Usage: Microsoft 365")
    OSU_BIZAPPS = "osu_bizapps", _("Online Services Usage: Business Applications")
    OSA_SELL = "osa_sell", _("Online Services Advisor: Sell")


class Role(TextChoices):
    USAGE = "usage", _("Usage")
    PRESALES = "presales", _("Pre-sales advisor")
    REVENUE = "revenue", _("Revenue association")


class LeadsTo(TextChoices):
    INCENTIVE = "incentive", _("Can earn incentives")
    RECOGNITION = "recognition", _("Gives recognition, and earns nothing")
