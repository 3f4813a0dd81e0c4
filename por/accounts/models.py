"""People, the organisations they act for, and the tokens of their programs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Self

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Lower, Upper
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts import zones
from por.accounts.rules import READING, OrganisationKind, Role, rights_of
from por.db.models import RowModel
from por.db.prepared import Param, PreparedQuery
from por.errors import Forbidden

LANGUAGES = [("en", _("English")), ("sv", _("Swedish"))]


#: The migrations know the zones by this name.
time_zones = zones.names


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a person. Without a password, they cannot sign in until they choose one.

        Without a time zone, they have that of their organisation.
        """
        own = {"own_time_zone": "time_zone" in fields}
        user = self.model(email=email.strip().lower(), **(own | fields))
        user.set_password(password)
        user.save(using=self._db)
        return user

    def with_email(self, email: str) -> models.QuerySet[User]:
        """Return the person with this address, as a queryset of one or none."""
        return self.filter(email__iexact=email.strip())

    def get(self, *args: Any, **given: Any) -> User:
        """Return the one person that matches. By key alone, as each request with a session asks, it is prepared."""
        if args or given.keys() != {"pk"} or not isinstance(given["pk"], int):
            return super().get(*args, **given)
        person = _BY_KEY.one(pk=given["pk"])
        if person is None:
            raise User.DoesNotExist
        return person

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(RowModel, AbstractBaseUser):
    """A person, known by email address. `is_active` is false while suspended: sessions and tokens then stop working.

    `time_zone` counts only if it is their own; else they have that of the organisation they act for.
    """

    email = models.EmailField(_("email address"), max_length=254, unique=True)
    name = models.CharField(_("name"), max_length=150)
    language = models.CharField(_("language"), max_length=5, choices=LANGUAGES, default="en")
    time_zone = models.CharField(_("time zone"), max_length=50, choices=time_zones, default=zones.DEFAULT)
    own_time_zone = models.BooleanField(default=False, db_default=False)
    is_active = models.BooleanField(_("active"), default=True)
    date_joined = models.DateTimeField(default=timezone.now)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [models.UniqueConstraint(Lower("email"), name="one_person_per_email")]
        indexes = [
            GinIndex(
                OpClass(Upper("name"), name="gin_trgm_ops"),
                OpClass(Upper("email"), name="gin_trgm_ops"),
                name="people_by_part_of_name",
            ),
            models.Index(fields=["name", "id"], name="people_by_name"),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name

    def zone_at(self, organisation: Organisation | None) -> str:
        """Return the time zone of the person when they act for this organisation."""
        return self.time_zone if self.own_time_zone or organisation is None else organisation.time_zone


_BY_KEY = PreparedQuery(lambda: User.objects.filter(pk=Param("pk")))


class Organisation(RowModel):
    """An organisation that people act for. `number` is the MPN ID of a partner, the tenant id of a customer.

    A partner's location has its global account as `parent`; `contact_email` gets mail that no member wants.
    """

    kind = models.CharField(max_length=10, choices=OrganisationKind.choices)
    name = models.CharField(max_length=200)
    number = models.CharField(max_length=36)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    contact_email = models.EmailField(max_length=254, blank=True)
    language = models.CharField(max_length=5, choices=LANGUAGES, default="en")
    time_zone = models.CharField(
        _("time zone"), max_length=50, choices=time_zones, default=zones.DEFAULT, db_default=zones.DEFAULT
    )

    class Meta:
        verbose_name = _("organisation")
        constraints = [
            models.UniqueConstraint(fields=["kind", "number"], name="one_organisation_per_number"),
            models.CheckConstraint(
                condition=models.Q(kind__in=OrganisationKind.values), name="organisation_kind_is_known"
            ),
        ]
        # `icontains` compares upper-case text, so the trigram index holds upper-case text.
        indexes = [GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="organisations_by_part_of_name")]

    def __str__(self) -> str:
        return self.name


class FormerName(models.Model):
    """A name that an organisation had until an instant. Files change names."""

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="former_names", db_index=False)
    name = models.CharField(max_length=200)
    until = models.DateTimeField()

    class Meta:
        verbose_name = _("former name")
        indexes = [
            models.Index(fields=["organisation", "until"], name="former_names"),
            GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="former_names_by_part"),
        ]

    def __str__(self) -> str:
        return self.name


def keys_below(organisation: str) -> ArraySubquery:
    """Return a subquery with the keys of the organisations below the one in this column of the query."""
    return ArraySubquery(Organisation.objects.filter(parent=models.OuterRef(organisation)).values("pk"))


class MembershipQuerySet(models.QuerySet["Membership"]):
    def usable(self) -> Self:
        """Return the memberships of people who are not suspended, with user and organisation loaded."""
        return self.filter(user__is_active=True).select_related("user", "organisation")


class Membership(RowModel):
    """The role with which a person acts for an organisation."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=30, choices=Role.choices)
    #: Whether a file named this person as the contact. Such a membership ends when a file names another one.
    by_file = models.BooleanField(default=False, db_default=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        verbose_name = _("membership")
        constraints = [
            models.UniqueConstraint(fields=["user", "organisation"], name="one_role_per_person_and_organisation")
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()}, {self.organisation}"

    @property
    def time_zone(self) -> str:
        return self.user.zone_at(self.organisation)


class Token(RowModel):
    """A key for programs, which act as one person for one organisation. Only its digest is stored."""

    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="tokens")
    name = models.CharField(_("name"), max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    read_only = models.BooleanField(_("read only"), default=False)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)  # none for tokens from before they had an end

    class Meta:
        verbose_name = _("API token")

    def __str__(self) -> str:
        return self.name

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @staticmethod
    def digest_of(secret: str) -> str:
        """Return the SHA-256 of a secret. That is enough: the secret is 256 random bits, not a chosen password."""
        return hashlib.sha256(secret.encode()).hexdigest()


#: What stands in the User-Agent of browsers and systems. The first that is found counts: most of them name others too.
BROWSERS = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
]
SYSTEMS = [
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
]


class UserSession(models.Model):
    """A session of a person in a browser. `key` is its key in Django's table, in the form that it has there.

    There is no foreign key: the release before this one deletes Django's rows without these.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="sessions")
    key = models.CharField(max_length=40, unique=True)
    device = models.CharField(max_length=300, blank=True)
    began_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("session")

    def __str__(self) -> str:
        return f"{self.user}: {self.device}"

    @property
    def device_name(self) -> str:
        """Return the browser and the system, as far as the browser names them."""
        browser = next((name for mark, name in BROWSERS if mark in self.device), "")
        system = next((name for mark, name in SYSTEMS if mark in self.device), "")
        if browser and system:
            return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
        return browser or system or str(_("Unknown device"))


class IdempotencyKey(models.Model):
    """The first answer to a request with an Idempotency-Key, replayed when the same request is repeated."""

    organisation = models.ForeignKey(Organisation, models.CASCADE, db_index=False)
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    headers: models.JSONField[Any, Any] = models.JSONField(default=dict)
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "key"], name="one_answer_per_idempotency_key")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_keys_by_age")]

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True)
class Actor:
    """A person acting for an organisation in a role: the `by` of every verb; queries for a reader start from it."""

    user: User | None
    organisation: Organisation | None
    role: str = ""
    token: Token | None = None
    below: tuple[int, ...] | None = None  # the keys of the organisations below its own, if they are known already

    @property
    def kind(self) -> str:
        return self.organisation.kind if self.organisation else ""

    @property
    def is_staff(self) -> bool:
        return self.kind == OrganisationKind.STAFF

    @property
    def rights(self) -> frozenset[str]:
        return rights_of(self.kind, self.role) if self.organisation else frozenset()

    def may(self, right: str) -> bool:
        return right in self.rights and (right in READING or not (self.token and self.token.read_only))

    def require(self, right: str) -> None:
        """Raise Forbidden unless the role has this right and the token, if any, may write."""
        if right not in self.rights:
            raise Forbidden("no_right", _("Your role does not allow this. Ask an administrator of your organisation."))
        if right not in READING:
            self.require_writing()

    def require_writing(self) -> None:
        """Raise Forbidden if the token may only read. Actions that need no right require only this."""
        if self.token and self.token.read_only:
            raise Forbidden("token_is_read_only", _("This token is read-only. Use a token with read and write access."))

    @property
    def time_zone(self) -> str:
        """Return the zone in which the actor reads and writes days: the person's own, else the organisation's."""
        return self.user.zone_at(self.organisation) if self.user else "UTC"

    @property
    def today(self) -> date:
        """Return the day it is for the actor, whoever does the work for them."""
        return zones.day_in(self.time_zone, timezone.now())

    # The properties of an author of events.
    @property
    def user_id(self) -> int | None:
        return self.user.pk if self.user else None

    @property
    def name(self) -> str:
        return self.user.name if self.user else ""

    @property
    def organisation_id(self) -> int | None:
        return self.organisation.pk if self.organisation else None

    @property
    def organisation_name(self) -> str:
        return self.organisation.name if self.organisation else ""


#: The actor of the clock and of commands. It has no rights.
SYSTEM = Actor(user=None, organisation=None)
