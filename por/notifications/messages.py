"""The mails that events send: what each is called, what it says, and how it is put into words for its recipient."""

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
from por.notifications.models import DIGEST, Delivery, Topic

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

    from por.history.events import Text

logger = logging.getLogger(__name__)

#: Names and reasons come from people: what could break a line, or turn the direction of the text, becomes a space.
BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
#: Every mail may say whose member, or whose contact address, its recipient is.
ALWAYS_GIVEN = frozenset({"organisation"})


class MailContext(TypedDict):
    """What every mail shows, as text in the recipient's language and time zone; a mail's own context adds to it."""

    rows: list[tuple[str, str]]  # a label and a value each
    reason: NotRequired[list[str]]  # lines that a person wrote
    receipt: NotRequired[str]  # the path of a page that the reader can share


class InboxText(NamedTuple):
    """What the inbox and the digest say of an event: one sentence, and the path of the page the mail leads to."""

    sentence: str
    url: str = ""


class NoValues(TypedDict):
    """For a sentence without placeholders."""


def no_values(payload: NoValues) -> NoValues:
    return {}


class Mail(NamedTuple):
    """One kind of mail. `name` is stored with each delivery, preference and line of an inbox, so it never changes.

    `title` is what it is called where one chooses. Nobody can turn off a mail without a topic. `may` is the right that
    a member needs to be told. The frame shows the subject, the paragraphs, what `context` returns, and a button to
    `url`. `inbox` is what the inbox says; None where nothing is put there. Its values are said from the payload alone,
    without a query: it is called for each of many lines.
    """

    name: str
    topic: Topic | None
    to: tuple[OrganisationKind, ...]
    title: LazyText
    subject: Text
    paragraphs: tuple[Text, ...]
    context: Callable[[Any], Mapping[str, Any]]  # returns a typed dict; for a digest it gets the delivery
    action: LazyText
    url: Callable[[Event], str]
    inbox: Text | None
    values: Callable[[Any], Mapping[str, Any]] = no_values
    may: Right | None = None

    def unfit(self, payload: type[Any]) -> Iterator[str]:
        """Yield what is wrong: a text that is empty or says what it is not given, or values of another payload."""
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
    url: Callable[[Event], str],
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
    """Return what the staff call each kind of mail, by its name."""
    return {name: one.title for name, one in sorted(_mails.items())}


def choosable(kind: str) -> list[tuple[Topic, list[Mail]]]:
    """Return what an organisation of this kind gets mail about and may turn off, by topic."""
    ours = [one for one in _mails.values() if kind in one.to]
    topics = [(topic, [one for one in ours if one.topic == topic]) for topic in Topic]
    return [(topic, mails) for topic, mails in topics if mails]


def always_sent(kind: str) -> list[LazyText]:
    """Return what an organisation of this kind gets and nobody there may turn off, by title."""
    return [one.title for one in _mails.values() if one.topic is None and kind in one.to]


def inbox_text(name: str, event: Event) -> InboxText:
    """Return what a mail says of an event in one sentence, in the language that is active.

    A line that another release has written, under a name that this one does not know, says what the event is about.
    """
    known = _mails.get(name)
    if known is None or known.inbox is None:
        logger.error("No mail with a line in the inbox is called %s: event %s is shown by its name.", name, event.pk)
        return InboxText(_tidy(event.object_name or event.verb))
    return InboxText(_tidy(events.say(known.inbox, known.values(event.changes))), known.url(event))


def message_id(delivery: Delivery) -> str:
    """Return it as it is in the header of every copy."""
    return f"<{delivery.message_id}@{parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition('@')[2]}>"


def compose(delivery: Delivery) -> EmailMultiAlternatives:
    """Return the mail as it goes out. Its Message-ID is the delivery's, whichever try this is."""
    event, name = delivery.event, delivery.template
    with translation.override(delivery.language), timezone.override(delivery.time_zone):
        kind = _mails[name]
        values: dict[str, Any] = {
            **{key: _tidy(value) for key, value in kind.context(delivery if name == DIGEST else event).items()},
            "organisation": _tidy(delivery.organisation.name),
        }
        subject = _tidy(events.say(kind.subject, values)).strip()
        frame = {
            **values,
            "subject": subject,
            "paragraphs": [events.say(one, values) for one in kind.paragraphs],
            "action": kind.action,
            "url": address(kind.url(event)),
            "receipt": address(values["receipt"]) if values.get("receipt") else "",
            "language": delivery.language,
            "preferences_url": address(reverse("notifications:preferences")) if delivery.user_id else "",
        }
        text = _render("base.txt", frame, autoescape=False)
        html = _render("base.html", frame, autoescape=True)
    headers = {
        "Message-ID": message_id(delivery),
        "Auto-Submitted": "auto-generated",
    }
    if event.request_id:
        headers["X-Request-ID"] = event.request_id
    if frame["preferences_url"]:
        headers["List-Unsubscribe"] = f"<{frame['preferences_url']}>"
    composed = EmailMultiAlternatives(subject, text, to=[delivery.recipient], headers=headers)
    composed.attach_alternative(html, "text/html")
    return composed


def address(path: str) -> str:
    """Return where a page is for who comes from a mail or a program."""
    return f"{settings.SITE_URL}{path}"


def _render(name: str, frame: dict[str, Any], *, autoescape: bool) -> str:
    return Engine.get_default().get_template(f"emails/{name}").render(Context(frame, autoescape=autoescape))


def _tidy(value: Any) -> Any:
    """Return the same with every text on one line."""
    if isinstance(value, str):
        return BREAKS.sub(" ", value)
    if isinstance(value, list | tuple):
        return [_tidy(one) for one in value]
    return value
