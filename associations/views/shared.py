"""What the pages of both sides need to look back to a day."""

from __future__ import annotations

from typing import Any

from associations.forms import AsOfForm
from por.accounts.middleware import Request
from por.http import address


def looking_back(request: Request, form: AsOfForm) -> dict[str, Any]:
    """What a page needs to know of the day it looks back to, once the form that asks for it has been checked."""
    return {
        "as_of_form": form,
        "as_of": form.day,
        "as_of_query": f"?as_of={form.day.isoformat()}" if form.day else "",
        "today_url": address(request, without=["as_of"]),
    }
