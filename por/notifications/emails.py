"""How a message is put into words: one pair of templates each, in the recipient's language and time zone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template import Context, Engine
from django.urls import reverse
from django.utils import timezone, translation

from por.accounts.rules import Kind
from por.history.models import Event
from por.notifications.models import DIGEST, Delivery, Topic

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

#: What a message says of an event (the digest: of its delivery), as text in the language and zone that are active when
#: it is called. The frame of every message shows `rows` (label and value), `reason` (a list of lines), a link (`action`
#: and the path `url`), and if there is one the path `receipt`.
Facts = Callable[[Any], Mapping[str, Any]]

#: Names and reasons come from people: what could break a line, or turn the direction of the text, becomes a space.
BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class Line(NamedTuple):
    """What the inbox and the digest say of an event: one sentence, and the path of the page the mail leads to."""

    sentence: str
    url: str = ""


#: Said from what the event has stored, in the language and zone that are active: it is called for each of many lines,
#: so it asks the database nothing.
Says = Callable[[Event], Line]


#: To whom there is something to tell, but for the staff.
ANYBODY = (Kind.CUSTOMER, Kind.PARTNER)


class Message(NamedTuple):
    """One kind of mail: the templates emails/<name>.txt and .html, the topic it belongs to, and what it says.

    `title` is what it is called where one chooses. Nobody can turn off what has no topic. `line` is what stands in
    the inbox of whoever gets it, in place of its title; with `inbox` false nothing does. `to` is who gets it.
    """

    name: str
    topic: Topic | None
    facts: Facts
    title: LazyText
    line: Says | None = None
    to: tuple[Kind, ...] = ANYBODY
    inbox: bool = True


_messages: dict[str, Message] = {}


def message(
    name: str,
    topic: Topic | None,
    facts: Facts,
    title: LazyText,
    *,
    line: Says | None = None,
    to: tuple[Kind, ...] = ANYBODY,
    inbox: bool = True,
) -> Message:
    """Makes a kind of mail known, so that a delivery can name it; its parts are those of Message."""
    _messages[name] = Message(name, topic, facts, title, line, to, inbox)
    return _messages[name]


def titles() -> dict[str, LazyText]:
    """What the staff call each kind of mail, by its name."""
    return {name: one.title for name, one in sorted(_messages.items())}


def choosable(kind: str) -> list[tuple[Topic, list[Message]]]:
    """What an organisation of this kind gets mail about and may turn off, by topic."""
    ours = [one for one in _messages.values() if kind in one.to]
    topics = [(topic, [one for one in ours if one.topic == topic]) for topic in Topic]
    return [(topic, messages) for topic, messages in topics if messages]


def always_sent(kind: str) -> list[LazyText]:
    """What an organisation of this kind gets and nobody there may turn off, by title."""
    return [one.title for one in _messages.values() if one.topic is None and kind in one.to]


def line_of(name: str, event: Event) -> Line:
    """What a message says of an event in one sentence, in the language that is active."""
    known = _messages.get(name)
    if known is not None and known.line is not None:
        said = known.line(event)
        return said._replace(sentence=_tidy(said.sentence))
    what = event.object_name or event.verb
    return Line(_tidy(f"{known.title}: {what}" if known is not None else what))


def message_id(delivery: Delivery) -> str:
    """As it stands in the header of every copy."""
    return f"<{delivery.message_id}@{parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition('@')[2]}>"


def compose(delivery: Delivery) -> EmailMultiAlternatives:
    """The mail as it goes out. Its Message-ID is the delivery's, whichever try this is."""
    event, name = delivery.event, delivery.template
    with translation.override(delivery.language), timezone.override(delivery.time_zone):
        facts = _messages[name].facts(delivery if name == DIGEST else event)
        context: dict[str, Any] = {
            **{key: _tidy(value) for key, value in facts.items()},
            "language": delivery.language,
            "organisation": _tidy(delivery.organisation.name),
            "preferences_url": address(reverse("notifications:preferences")) if delivery.user_id else "",
        }
        for link in ("url", "receipt"):
            context[link] = address(context[link]) if context.get(link) else ""
        # In the .txt files, nothing is escaped; the subject is a part of its own there.
        context["subject"] = subject = _tidy(_render(f"{name}.txt#subject", context, autoescape=False)).strip()
        text = _render(f"{name}.txt", context, autoescape=False)
        html = _render(f"{name}.html", context, autoescape=True)
    headers = {
        "Message-ID": message_id(delivery),
        "Auto-Submitted": "auto-generated",
    }
    if event.request_id:
        headers["X-Request-ID"] = event.request_id
    if context["preferences_url"]:
        headers["List-Unsubscribe"] = f"<{context['preferences_url']}>"
    mail = EmailMultiAlternatives(subject, text, to=[delivery.recipient], headers=headers)
    mail.attach_alternative(html, "text/html")
    return mail


def address(path: str) -> str:
    """Where a page is for who comes from a mail or a program."""
    return f"{settings.SITE_URL}{path}"


def _render(name: str, context: dict[str, Any], *, autoescape: bool) -> str:
    return Engine.get_default().get_template(f"emails/{name}").render(Context(context, autoescape=autoescape))


def _tidy(value: Any) -> Any:
    """The same with every text on one line."""
    if isinstance(value, str):
        return BREAKS.sub(" ", value)
    if isinstance(value, list | tuple):
        return [_tidy(one) for one in value]
    return value
