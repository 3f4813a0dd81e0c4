"""The types of file that a proof may have, and the bounds of what is looked at. No Django: the child reads it."""

from __future__ import annotations

from enum import StrEnum

MB = 1024 * 1024


class Kind(StrEnum):
    PDF = "pdf"
    DOCX = "docx"
    XLSX = "xlsx"
    PNG = "png"
    JPG = "jpg"
    EML = "eml"


#: The endings that a name may have, and what the content must then be.
ENDINGS = {kind.value: kind for kind in Kind} | {"jpeg": Kind.JPG}

_OFFICE = "application/vnd.openxmlformats-officedocument"
CONTENT_TYPES = {
    Kind.PDF: "application/pdf",
    Kind.DOCX: f"{_OFFICE}.wordprocessingml.document",
    Kind.XLSX: f"{_OFFICE}.spreadsheetml.sheet",
    Kind.PNG: "image/png",
    Kind.JPG: "image/jpeg",
    Kind.EML: "message/rfc822",
}

LARGEST = 25 * MB
LONGEST_NAME = 150

# --- What is inside a document or workbook
MOST_MEMBERS = 2_000
LARGEST_UNPACKED = 150 * MB
#: A member that unpacks to so many times its size is a bomb, unless it is small.
LARGEST_RATIO = 100
SMALL_MEMBER = MB

# --- What is inside the others
MOST_PIXELS = 50_000_000
MOST_SCANS = 100  # of a JPEG: a progressive one has about ten
MOST_OBJECTS = 100_000
MOST_PARTS = 100
DEEPEST_MAIL = 3  # mails in a mail
LONGEST_FACT = 200

# --- What is drawn
MOST_PAGES_DRAWN = 20
MOST_DRAWN = 20 * MB  # of all pictures of one file
PICTURE_SIDE = 1_400  # pixels of the longer side
