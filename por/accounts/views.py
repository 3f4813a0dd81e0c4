"""Signing in, a person's own account, and the people that staff manage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from allauth.account import views as allauth
from allauth.account.adapter import get_adapter
from allauth.core import ratelimit
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db.models import Exists, OuterRef, Prefetch, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language, gettext_lazy, override
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from por.accounts import actions, devices, limits
from por.accounts.forms import (
    THEMES,
    AddToStaffForm,
    AskForResetForm,
    DeviceForm,
    OrganisationForm,
    PeopleFilter,
    ProfileForm,
    RoleForm,
    SignInForm,
    TokenForm,
)
from por.accounts.guards import only
from por.accounts.middleware import ACTIVE_ORGANISATION, Request
from por.accounts.models import Membership, Token, User
from por.accounts.rules import OrganisationKind, Right, rights_of
from por.accounts.sessions import current_key
from por.errors import NotFound, RateLimited, Refused
from por.history.models import Event
from por.web.lists import Listing, ListTab, people_text
from por.web.pages import posted, render_page, submit

HOMES = {OrganisationKind.CUSTOMER: "/c/", OrganisationKind.PARTNER: "/p/", OrganisationKind.STAFF: "/a/"}
YEAR = 365 * 24 * 3600
DEMO_DOMAIN = "@demo.example"


# --- Signing in: the library's pages, with status 422 for a form that is not accepted -------------------------------


class Unprocessable:
    """A view that returns a form that is not accepted with status 422, so that programs and htmx can see it."""

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]
        response.status_code = 422
        return response


class SignIn(Unprocessable, allauth.LoginView):  # type: ignore[misc]  # the library has no types
    """The page with email and password. In the demo, it lists the addresses to sign in with."""

    form_class = SignInForm

    def get_initial(self) -> dict[str, Any]:
        return {"login": self.request.GET.get("as", "")} if settings.DEMO else {}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if settings.DEMO:
            context["demo_people"] = _demo_people()
        return context


class SignOut(allauth.LogoutView):  # type: ignore[misc]
    """The page that ends the session. The browser then forgets the pages it has kept, also those behind "back"."""

    def post(self, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = super().post(*args, **kwargs)
        # Not "cookies": the language and the theme are the browser's.
        response.headers["Clear-Site-Data"] = '"cache", "storage"'
        return response


def _demo_people() -> dict[User, list[Membership]]:
    """Return the people of the demo, each with their memberships."""
    people: dict[User, list[Membership]] = {}
    found = Membership.objects.usable().filter(user__email__endswith=DEMO_DOMAIN)
    for one in found.order_by("organisation__kind", "user__email", "organisation__name"):
        people.setdefault(one.user, []).append(one)
    return people


class AskForReset(Unprocessable, allauth.PasswordResetView):  # type: ignore[misc]
    """The page that sends a link to reset the password.

    Neither its answer nor its work reveals whether the address is known: only the sender of the mail looks it up.
    """

    form_class = AskForResetForm

    def form_valid(self, form: Any) -> HttpResponse:
        if limits.ask_for_link(self.request, form.cleaned_data["email"]):
            get_adapter().send_password_link(form.cleaned_data["email"])
        return redirect(self.get_success_url())


class Reset(Unprocessable, allauth.PasswordResetFromKeyView):  # type: ignore[misc]
    """The new password, after following the link. The browser is then a device that the account knows."""

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        limits.password_was_reset(self.reset_user.email)
        devices.remember(self.request, response, self.reset_user)
        return response


class ChangePassword(Unprocessable, allauth.PasswordChangeView):  # type: ignore[misc]
    """The new password, for a person who knows the old one. It ends all devices of the account but this one."""

    def dispatch(self, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = super().dispatch(*args, **kwargs)
        if response.status_code == 429:
            response["Retry-After"] = "60"  # the library's limit is for a minute
        return response

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        devices.remember(self.request, response, self.request.user)
        return response

    def get_default_success_url(self) -> str:
        return reverse("accounts:me")


# --- The home page and the active organisation ----------------------------------------------------------------------


@login_not_required
@require_safe
def landing(request: Request) -> HttpResponse:
    """Redirect to the home of the active organisation; a person with several organisations first chooses one.

    Strangers read what the product is.
    """
    if request.actor.user is None:
        return render(request, "accounts/welcome.html")
    if not request.memberships:
        return render(request, "accounts/no_membership.html")
    if len(request.memberships) > 1 and ACTIVE_ORGANISATION not in request.session:
        return render(request, "accounts/landing.html")
    return redirect(HOMES[OrganisationKind(request.actor.kind)])


@require_POST
def switch(request: Request) -> HttpResponse:
    """Make another organisation of the person the active one. Go to its home, or back to a page of its kind."""
    chosen = request.POST.get("organisation")
    membership = next((one for one in request.memberships if str(one.organisation_id) == chosen), None)
    if membership is None:
        raise Http404
    request.session[ACTIVE_ORGANISATION] = membership.organisation_id
    home, there = HOMES[OrganisationKind(membership.organisation.kind)], _way_back(request)
    return redirect(there if there.startswith(home) else home)


# --- Language and theme ---------------------------------------------------------------------------------------------


@login_not_required
@require_POST
def language(request: Request) -> HttpResponse:
    """Save the language of the pages, in the browser and, if someone is signed in, with the person."""
    code = request.POST.get("language", "")
    if code not in dict(settings.LANGUAGES):
        raise Http404
    if request.actor.user is not None:
        actions.update_profile(request.actor.user, language=code)
    response = redirect(_way_back(request))
    _remember(response, settings.LANGUAGE_COOKIE_NAME, code)
    return response


@login_not_required
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Save the theme, light or dark, in the browser; any other value means the setting of the device."""
    chosen = request.POST.get("theme", "")
    response = redirect(_way_back(request))
    _remember(response, "theme", chosen if chosen in dict(THEMES) else "")
    return response


def _way_back(request: HttpRequest) -> str:
    """Return the page that the form was on, if it is one of ours; else the landing page."""
    there = request.POST.get("next", "")
    local = url_has_allowed_host_and_scheme(there, {request.get_host()}, require_https=request.is_secure())
    return there if local and there.startswith("/") else resolve_url("accounts:landing")


def _remember(response: HttpResponse, name: str, value: str) -> None:
    """Set a cookie for a preference of this browser; an empty value deletes it."""
    if value:
        response.set_cookie(name, value, max_age=YEAR, samesite="Lax", secure=settings.HTTPS)
    else:
        response.delete_cookie(name, samesite="Lax")


# --- The person's own account ---------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def me(request: Request) -> HttpResponse:
    """Show and save the name, language and time zone of the person, and the theme and shortcuts of the browser."""
    if request.method == "POST":
        form, device = ProfileForm(request.POST, instance=request.user, actor=request.actor), DeviceForm(request.POST)
        if (
            device.is_valid()
            and submit(form, lambda: actions.update_profile(request.user, **form.cleaned_data)).is_done
        ):
            given = form.cleaned_data
            with override(given["language"]):
                messages.success(request, _("Saved."))
            response = redirect("accounts:me")
            _remember(response, settings.LANGUAGE_COOKIE_NAME, given["language"])
            _remember(response, "theme", device.cleaned_data["theme"])
            _remember(response, "shortcuts", "" if device.cleaned_data["shortcuts"] else "off")
            return response
        return render(request, "accounts/me.html", {"form": form, "device": device}, status=422)
    form = ProfileForm(instance=request.user, actor=request.actor)
    device = DeviceForm(
        initial={
            "theme": request.COOKIES.get("theme", ""),
            "shortcuts": request.COOKIES.get("shortcuts") != "off",
        }
    )
    return render(request, "accounts/me.html", {"form": form, "device": device})


@require_http_methods(["GET", "HEAD", "POST"])
def organisation(request: Request) -> HttpResponse:
    """Show and save the settings of the organisation that the person acts for."""
    actor = request.actor
    actor.require(Right.MANAGE_ORGANISATION)
    assert actor.organisation is not None  # else it has no rights
    if request.method != "POST":
        form = OrganisationForm(initial={"time_zone": actor.organisation.time_zone})
        return render(request, "accounts/organisation.html", {"form": form})
    form = OrganisationForm(request.POST)
    sent = submit(form, lambda: actions.change_time_zone(form.cleaned_data["time_zone"], by=actor))
    if not sent.is_done:
        return render(request, "accounts/organisation.html", {"form": form}, status=sent.status)
    messages.success(request, _("Saved."))
    return redirect("accounts:organisation")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: Request) -> HttpResponse:
    """Show the person's API tokens and a form for a new one, whose secret is shown once, in the answer to the form."""
    may = [one for one in request.memberships if Right.MANAGE_TOKENS in rights_of(one.organisation.kind, one.role)]
    if request.method != "POST":
        return _tokens_page(request, TokenForm(memberships=may), may)
    form = TokenForm(request.POST, memberships=may)
    sent = submit(form, lambda: _create_token(request, form, may))
    if not sent.is_done:
        response = _tokens_page(request, form, may, status=sent.status)
        if isinstance(sent.refused, RateLimited):
            response.headers["Retry-After"] = str(sent.refused.retry_after)
        return response
    _token, secret = sent.result
    return _tokens_page(request, TokenForm(memberships=may), may, secret=secret, status=201)


def _create_token(request: Request, form: TokenForm, may: Sequence[Membership]) -> tuple[Token, str]:
    given = form.cleaned_data
    _require_password(request, given["password"])
    organisation = next(one.organisation for one in may if one.organisation_id == given["organisation"])
    read_only = given["access"] == "read"
    return actions.create_token(request.user, organisation, name=given["name"], read_only=read_only, days=given["days"])


def _require_password(request: Request, password: str) -> None:
    """Raise `password_wrong` on `password`, or RateLimited after too many of them."""
    if not ratelimit.consume(request, action="reauthenticate", user=request.user):
        raise RateLimited(
            "too_many_attempts", _("There were too many attempts. Try again in a minute."), retry_after=60
        )
    if not request.user.check_password(password):
        raise Refused("password_wrong", _("This is not your password."), field="password")


def _tokens_page(
    request: Request, form: TokenForm, may: Sequence[Membership], *, secret: str = "", status: int = 200
) -> HttpResponse:
    live = Token.objects.filter(user=request.user, revoked_at=None).select_related("organisation")
    context = {"form": form, "may_create": bool(may), "secret": secret, "tokens": live.order_by("-created_at", "-pk")}
    return render(request, "accounts/tokens.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def token_revoke(request: Request, pk: int) -> HttpResponse:
    """Ask first, because a revoked token cannot be restored; then revoke it."""
    if request.method == "POST":
        token = actions.revoke_token(request.user, pk)
        messages.success(request, _("The token %(name)s has been revoked and no longer works.") % {"name": token.name})
        return redirect("accounts:tokens")
    token = get_object_or_404(Token.objects.select_related("organisation"), user=request.user, pk=pk, revoked_at=None)
    return render(request, "accounts/token_revoke.html", {"token": token})


@require_safe
def sessions(request: Request) -> HttpResponse:
    """Show where the person is signed in."""
    context = {
        "sessions": actions.open_sessions(request.user)[:MOST_SESSIONS],
        "current": current_key(request),
        "idle_minutes": settings.SESSION_IDLE_SECONDS // 60,
        "hours": settings.SESSION_COOKIE_AGE // 3600,
    }
    return render(request, "accounts/sessions.html", context)


@posted("/me/sessions/")
def session_end(request: Request, pk: int) -> HttpResponseBase:
    actions.end_session(request.user, pk, current=current_key(request))
    messages.success(request, _("The device is signed out."))
    return redirect("accounts:sessions")


@posted("/me/sessions/")
def sessions_end(request: Request) -> HttpResponseBase:
    """End all sessions of the person but this one."""
    actions.end_other_sessions(request.user, current_key(request))
    messages.success(request, _("You are signed out everywhere but here."))
    return redirect("accounts:sessions")


# --- People, for the staff ------------------------------------------------------------------------------------------

MOST_SESSIONS = 100  # on the page; the button ends all of them
NEWEST = 5  # events on a page that is about something else

PEOPLE_TABS = [
    ListTab("", gettext_lazy("All"), lambda found: found),
    ListTab(
        "staff",
        gettext_lazy("Platform staff"),
        lambda found: found.filter(
            Exists(Membership.objects.filter(user=OuterRef("pk"), organisation__kind=OrganisationKind.STAFF))
        ),
    ),
    ListTab("suspended", gettext_lazy("Suspended"), lambda found: found.filter(is_active=False)),
]


@require_safe
@only(OrganisationKind.STAFF)
def people(request: Request) -> HttpResponse:
    memberships = Membership.objects.select_related("organisation").order_by("organisation__kind", "organisation__name")
    shown = Listing(
        request,
        User.objects.prefetch_related(Prefetch("memberships", memberships)),
        order=("name", "pk"),
        form=PeopleFilter(request.GET),
        tabs=PEOPLE_TABS,
        count_text=people_text,
    )
    context = shown.context | {"may_write": request.actor.may(Right.MANAGE_PEOPLE)}
    return render_page(request, "accounts/people.html", context, part="list", status=shown.status)


@require_safe
@only(OrganisationKind.STAFF)
def person(request: Request, person_id: int) -> HttpResponse:
    return _person(request, person_id)


def _person(request: Request, person_id: int, *, refused: Refused | None = None, status: int = 200) -> HttpResponse:
    """Show the page of one person, with the refusal, if any, at the top."""
    found = User.objects.filter(pk=person_id).first()
    if found is None:
        raise NotFound("not_found", _("We could not find this person."))
    memberships = list(found.memberships.select_related("organisation").order_by("organisation__kind", "pk"))
    on_staff = next((one for one in memberships if one.organisation.kind == OrganisationKind.STAFF), None)
    about = Q(object_kind="person", object_id=str(found.pk))
    context = {
        "person": found,
        "places": memberships,
        "on_staff": on_staff,
        "may_write": request.actor.may(Right.MANAGE_PEOPLE),
        "is_reader": found.pk == request.actor.user_id,
        "role_form": RoleForm(initial={"role": on_staff.role}) if on_staff else None,
        "tokens": found.tokens.select_related("organisation").order_by("-created_at", "-pk"),
        "done": Event.objects.filter(actor_id=found.pk).newest_first()[:NEWEST],
        "about": Event.objects.filter(about).newest_first()[:NEWEST],
        "refused": refused,
    }
    return render(request, "accounts/person.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.STAFF, to=Right.MANAGE_PEOPLE)
def person_add(request: Request) -> HttpResponse:
    """Add a person to platform staff. A person without a password gets a mail with a link to choose one."""
    if request.method != "POST":
        return _add_page(request, AddToStaffForm(initial={"language": get_language()}))
    form = AddToStaffForm(request.POST)
    sent = submit(form, lambda: actions.add_to_staff(by=request.actor, **form.cleaned_data))
    if not sent.is_done:
        return _add_page(request, form, status=sent.status)
    added = sent.result
    new = _("%(name)s is now a member of platform staff. We have sent them an email with a link to choose a password.")
    known = _("%(name)s is now a member of platform staff, and signs in as before.")
    messages.success(request, (known if added.has_usable_password() else new) % {"name": added})
    return redirect("accounts:person", added.pk)


def _add_page(request: Request, form: AddToStaffForm, *, status: int = 200) -> HttpResponse:
    return render(request, "accounts/person_add.html", {"form": form}, status=status)


@posted("accounts:person")
@only(OrganisationKind.STAFF, to=Right.MANAGE_PEOPLE)
def person_role(request: Request, person_id: int) -> HttpResponseBase:
    role = request.POST.get("role", "")
    done = _("%(name)s now has a different role.")
    return _change(request, person_id, lambda: actions.change_role(person_id, role, by=request.actor), done)


@posted("accounts:person")
@only(OrganisationKind.STAFF, to=Right.MANAGE_PEOPLE)
def person_remove(request: Request, person_id: int) -> HttpResponseBase:
    done = _("%(name)s is no longer a member of platform staff.")
    return _change(request, person_id, lambda: actions.remove_from_staff(person_id, by=request.actor), done)


@posted("accounts:person")
@only(OrganisationKind.STAFF, to=Right.MANAGE_PEOPLE)
def person_suspend(request: Request, person_id: int) -> HttpResponseBase:
    done = _("%(name)s is suspended. Their sessions and tokens no longer work.")
    return _change(request, person_id, lambda: actions.suspend(person_id, by=request.actor), done)


@posted("accounts:person")
@only(OrganisationKind.STAFF, to=Right.MANAGE_PEOPLE)
def person_reactivate(request: Request, person_id: int) -> HttpResponseBase:
    done = _("%(name)s can sign in again.")
    return _change(request, person_id, lambda: actions.reactivate(person_id, by=request.actor), done)


def _change(request: Request, person_id: int, verb: Callable[[], User], done: str) -> HttpResponseBase:
    """Call the verb; return to the person's page with the message `done`, or show the refusal there."""
    sent = submit(None, verb)
    if not sent.is_done:
        return _person(request, person_id, refused=sent.refused, status=sent.status)
    messages.success(request, done % {"name": sent.result})
    return redirect("accounts:person", person_id)
