"""The kinds of mail: their names and texts, and composing a mail for its recipient."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import parseaddr
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict, get_type_hints

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template import Context, Engine
from django.urls import reverse
from django.utils import timezone, translation

from por.accounts.rules import OrganisationKind, Right
from por.history import events
from por.history.models import Event
from por.notifications.models import DIGEST, SUMMARY, Delivery, Topic

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

    from por.history.events import Text

logger = logging.getLogger(__name__)

#: Names and reasons are written by people. Characters that break a line or change the text direction become a space.
BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
#: Values that the texts of every mail may use.
ALWAYS_GIVEN = frozenset({"organisation"})


class MailContext(TypedDict):
    """The values that every mail shows, in the language and time zone of the recipient. A kind of mail adds its own."""

    rows: list[tuple[str, str]]  # a label and a value each
    reason: NotRequired[list[str]]  # lines that a person wrote
    receipt: NotRequired[str]  # the path of a page that the reader can share


class InboxText(NamedTuple):
    """The text of an event in the inbox and the digest: one sentence, and the path of the page that it links to."""

    sentence: str
    url: str = ""


class NoValues(TypedDict):
    """The values of a text without placeholders."""


def no_values(payload: NoValues) -> NoValues:
    return {}


class Mail(NamedTuple):
    """One kind of mail. `name` is stored with each delivery, preference and line of an inbox, so it never changes.

    `title` is its name on pages. No one can turn off a mail without a topic. `may` is the right that a member needs to
    be notified. The frame shows the subject, the paragraphs, what `context` returns, and a button to `url`. `inbox` is
    the text in the inbox; None if it puts no line there. `context` and `url` get the event. Without one, they get the
    delivery, and so does the context of a digest or a summary. `values` computes the values of that text from the
    payload alone, without a query, because it is called for each of many lines.
    """

    name: str
    topic: Topic | None
    to: tuple[OrganisationKind, ...]
    title: LazyText
    subject: Text
    paragraphs: tuple[Text, ...]
    context: Callable[[Any], Mapping[str, Any]]  # returns a typed dict
    action: LazyText
    url: Callable[[Any], str]
    inbox: Text | None
    values: Callable[[Any], Mapping[str, Any]] = no_values
    may: Right | None = None

    def unfit(self, payload: type[Any]) -> Iterator[str]:
        """Yield what is wrong: a text that is empty or uses a value it does not get, or values of another payload."""
        required, optional = events.keys(get_type_hints(self.context)["return"])
        for label in (self.title, self.action):
            yield from events.unfit(label, frozenset())
        for text in (self.subject, *self.paragraphs):
            yield from events.unfit(text, required | ALWAYS_GIVEN, optional)
        if self.inbox is not None:
            hints = get_type_hints(self.values)
            yield from (f"in the inbox {one}" for one in events.unfit(self.inbox, *events.keys(hints["return"])))
            needed = events.keys(hints[next(iter(signature(self.values).parameters))])[0]
            if missing := needed - events.keys(payload)[0]:
                yield f"in the inbox needs {', '.join(sorted(missing))}, which the payload need not have"

    def texts(self) -> Iterable[Text]:
        """Return everything that has to be translated."""
        return [self.title, self.subject, *self.paragraphs, self.action, *([] if self.inbox is None else [self.inbox])]


_mails: dict[str, Mail] = {}


def mail(
    name: str,
    topic: Topic | None,
    *,
    to: tuple[OrganisationKind, ...],
    title: LazyText,
    subject: Text,
    paragraphs: tuple[Text, ...],
    context: Callable[[Any], Mapping[str, Any]],
    action: LazyText,
    url: Callable[[Any], str],
    inbox: Text | None,
    values: Callable[[Any], Mapping[str, Any]] = no_values,
    may: Right | None = None,
) -> Mail:
    """Register a kind of mail, so that a delivery can name it."""
    _mails[name] = Mail(
        name, topic, to, title, subject, paragraphs, context, action, url, inbox, values=values, may=may
    )
    return _mails[name]


def titles() -> dict[str, LazyText]:
    """Return the title of each kind of mail, by its name."""
    return {name: one.title for name, one in sorted(_mails.items())}


def choosable(kind: str) -> list[tuple[Topic, list[Mail]]]:
    """Return the mails that an organisation of this kind gets and may turn off, by topic."""
    ours = [one for one in _mails.values() if kind in one.to]
    topics = [(topic, [one for one in ours if one.topic == topic]) for topic in Topic]
    return [(topic, mails) for topic, mails in topics if mails]


def always_sent(kind: str) -> list[LazyText]:
    """Return the titles of the mails that an organisation of this kind gets and no one there may turn off."""
    return [one.title for one in _mails.values() if one.topic is None and kind in one.to]


def inbox_text(name: str, event: Event) -> InboxText:
    """Return the text of an event in the inbox, in the active language.

    For a kind of mail that this release does not know, because another release wrote the line, it is the name of the
    object of the event.
    """
    known = _mails.get(name)
    if known is None or known.inbox is None:
        logger.error("No mail with a line in the inbox is called %s: event %s is shown by its name.", name, event.pk)
        return InboxText(_tidy(event.object_name or event.verb))
    return InboxText(_tidy(events.render(known.inbox, known.values(event.changes))), known.url(event))


def message_id(delivery: Delivery) -> str:
    """Return the Message-ID, as in the header of every copy."""
    return f"<{delivery.message_id}@{parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition('@')[2]}>"


#: The values for a mail, by the function that returns them, the event, the language and the time zone.
Contexts = dict[tuple[Callable[[Any], Mapping[str, Any]], int, str, str], Mapping[str, Any]]


def compose(delivery: Delivery, contexts: Contexts | None = None) -> EmailMultiAlternatives:
    """Return the mail to send. Its Message-ID is that of the delivery, so it is the same for each try.

    The mails of a batch share `contexts`: several about one event ask the database once.
    """
    event, name = delivery.event, delivery.template
    shared: Contexts = {} if contexts is None else contexts
    with translation.override(delivery.language), timezone.override(delivery.time_zone):
        kind = _mails[name]
        values: dict[str, Any] = {
            **{key: _tidy(value) for key, value in _context(kind, delivery, shared).items()},
            "organisation": _tidy(delivery.organisation.name) if delivery.organisation else "",
        }
        is_member = delivery.user_id and event and not values.get("former")
        subject = _tidy(events.render(kind.subject, values)).strip()
        frame = {
            **values,
            "subject": subject,
            "paragraphs": [text for one in kind.paragraphs if (text := events.render(one, values))],
            "action": kind.action,
            "url": address(kind.url(event or delivery)),
            "receipt": address(values["receipt"]) if values.get("receipt") else "",
            "language": delivery.language,
            "preferences_url": address(reverse("notifications:preferences")) if is_member else "",
        }
        text = _render("base.txt", frame, autoescape=False)
        html = _render("base.html", frame, autoescape=True)
    headers = {
        "Message-ID": message_id(delivery),
        "Auto-Submitted": "auto-generated",
    }
    if event and event.request_id:
        headers["X-Request-ID"] = event.request_id
    if frame["preferences_url"]:
        headers["List-Unsubscribe"] = f"<{frame['preferences_url']}>"
    composed = EmailMultiAlternatives(subject, text, to=[delivery.recipient], headers=headers)
    composed.attach_alternative(html, "text/html")
    return composed


def _context(kind: Mail, delivery: Delivery, contexts: Contexts) -> Mapping[str, Any]:
    """Return the values for a mail, from `contexts` if they are there."""
    if kind.name in {DIGEST, SUMMARY} or delivery.event is None:
        return kind.context(delivery)
    key = (kind.context, delivery.event.pk, delivery.language, delivery.time_zone)
    if key not in contexts:
        contexts[key] = kind.context(delivery.event)
    return contexts[key]


def address(path: str) -> str:
    """Return the full address of a page, for mails and programs."""
    return f"{settings.SITE_URL}{path}"


def _render(name: str, frame: dict[str, Any], *, autoescape: bool) -> str:
    return Engine.get_default().get_template(f"emails/{name}").render(Context(frame, autoescape=autoescape))


def _tidy(value: Any) -> Any:
    """Return the value with every text in it on one line."""
    if isinstance(value, str):
        return BREAKS.sub(" ", value)
    if isinstance(value, list | tuple):
        return [_tidy(one) for one in value]
    return value
