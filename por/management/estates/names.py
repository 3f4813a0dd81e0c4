"""Names of companies that do not exist, in places that do. Different numbers give different names."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple


class Place(NamedTuple):
    city: str
    country: str
    market: str  # developed or developing


NORDIC = (
    *(Place(city, "SE", "developed") for city in ("Stockholm", "Göteborg", "Malmö", "Uppsala", "Linköping", "Umeå")),
    *(Place(city, "NO", "developed") for city in ("Oslo", "Bergen", "Trondheim", "Stavanger")),
    *(Place(city, "DK", "developed") for city in ("København", "Aarhus", "Odense")),
    *(Place(city, "FI", "developed") for city in ("Helsinki", "Turku", "Tampere")),
)
PLACES = (
    *NORDIC,
    Place("Hamburg", "DE", "developed"),
    Place("Rotterdam", "NL", "developed"),
    Place("Tallinn", "EE", "developed"),
    Place("Gdańsk", "PL", "developed"),
    Place("Cluj-Napoca", "RO", "developing"),
    Place("Plovdiv", "BG", "developing"),
    Place("Novi Sad", "RS", "developing"),
    Place("İzmir", "TR", "developing"),
)
FORMS = {
    "SE": "AB",
    "NO": "AS",
    "DK": "ApS",
    "FI": "Oy",
    "DE": "GmbH",
    "NL": "B.V.",
    "EE": "OÜ",
    "PL": "Sp. z o.o.",
    "RO": "SRL",
    "BG": "OOD",
    "RS": "d.o.o.",
    "TR": "A.Ş.",
}

FIRST = (
    *("Alm", "Ask", "Berg", "Björk", "Brand", "Ek", "Falk", "Furu", "Gran", "Grön", "Hav", "Hjort", "Hög", "Kalk"),
    *("Kvarn", "Lind", "Ljung", "Lund", "Löv", "Myr", "Norr", "Oxel", "Rönn", "Sand", "Sjö", "Sten", "Söder", "Tall"),
    *("Ulv", "Vide", "Älv", "Öst"),
)
SECOND = (
    *("borg", "bro", "by", "bäck", "dal", "fors", "gård", "hamn", "hed", "holm", "hult", "lunda", "mark", "näs"),
    *("sund", "torp", "vik", "ås"),
)
STEMS = len(FIRST) * len(SECOND)

PARTNER_TRADES = ("Cloud", "Konsult", "IT", "Drift", "Data", "Digital", "Systems", "Networks", "Teknik", "Services")
TRADES = {
    "enterprise": ("Energi", "Industri", "Rederi", "Bank", "Stål", "Papper", "Livs", "Transport", "Försäkring"),
    "smb": ("Bygg", "Måleri", "Snickeri", "Bageri", "Plåt", "Redovisning", "Optik", "Tryckeri", "Trädgård", "El"),
    "public_sector": ("kommun", "Sjukvård", "Skolor", "Högskola", "Museum", "Bibliotek", "Räddningstjänst"),
}
STRIDE = 211  # has no common factor with STEMS; it makes neighbours in a file differ


def company(number: int, trades: tuple[str, ...], country: str) -> str:
    """Return the name of company `number`. Once every stem has every trade, the names get numbers."""
    again, number = divmod(number, STEMS * len(trades))
    turn, place = divmod(number, STEMS)
    trade = (turn + place) % len(trades)
    first, second = divmod(place * STRIDE % STEMS, len(SECOND))
    words = [f"{FIRST[first]}{SECOND[second]}", trades[trade]]
    if again:
        words.append(str(again + 1))
    if trades is not TRADES["public_sector"]:
        words.append(FORMS[country])
    return " ".join(words)


def domain_of(name: str, country: str) -> str:
    """Return a domain that can never exist, for the company of this name."""
    bare = name.removesuffix(FORMS[country]).lower()
    plain = unicodedata.normalize("NFKD", bare.replace("ø", "o").replace("æ", "ae"))
    return "-".join("".join(letter for letter in plain if letter.isascii()).split()) + ".example"


def language_of(country: str) -> str:
    """Return the language of people in a country."""
    return "sv" if country == "SE" else "en"
