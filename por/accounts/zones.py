"""Time zones: all that there are, and the one of a country."""

from __future__ import annotations

import zoneinfo
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files

#: The zone of an organisation without a country.
DEFAULT = "Europe/Stockholm"

#: Countries whose first zone in the table of the tz database is not the one of most people.
LARGEST = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "UZ": "Asia/Tashkent",
}


def names() -> list[tuple[str, str]]:
    """Return every zone of the tz database, by name. It is a function, so that a new zone needs no migration."""
    return [(name, name.replace("_", " ")) for name in sorted(zoneinfo.available_timezones())]


@cache
def by_country() -> dict[str, str]:
    """Return a zone for each code of a country: the first one that the tz database names for it, or its largest."""
    found: dict[str, str] = {}
    for line in files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            country, _place, zone, *_comment = line.split("\t")
            found.setdefault(country, zone)
    return {**found, **LARGEST}


def of_country(code: str) -> str:
    """Return the zone in which most people of a country live; the default one for an unknown country."""
    return by_country().get(code, DEFAULT)


def day_in(zone: str, moment: datetime) -> date:
    """Return the day that an instant is on in a zone."""
    return moment.astimezone(zoneinfo.ZoneInfo(zone)).date()


def end_of_day(day: date, zone: str) -> datetime:
    """Return the first instant after a day in a zone, also where its clocks change at midnight."""
    midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), zoneinfo.ZoneInfo(zone))
    return midnight.astimezone(zoneinfo.ZoneInfo("UTC"))
