from __future__ import annotations

from allauth.account import views as allauth
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from por.accounts import views

# The library finds its own pages by these names. Those for signing up are left out, because no one signs up.
entrance = [
    path("login", views.SignIn.as_view(), name="account_login"),
    path("logout", views.SignOut.as_view(), name="account_logout"),
    path("suspended", allauth.account_inactive, name="account_inactive"),
    path("password/reset/", views.AskForReset.as_view(), name="account_reset_password"),
    path("password/reset/sent/", allauth.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        views.Reset.as_view(),
        name="account_reset_password_from_key",
    ),
    path("password/reset/done/", allauth.password_reset_from_key_done, name="account_reset_password_from_key_done"),
    # A person without a password chooses the first one as others reset theirs: by email.
    path("me/password/set", RedirectView.as_view(pattern_name="account_reset_password"), name="account_set_password"),
    path("me/password/", views.ChangePassword.as_view(), name="account_change_password"),
]

own = [
    path("", views.landing, name="landing"),
    path("switch", views.switch, name="switch"),
    path("language", views.language, name="language"),
    path("theme", views.theme, name="theme"),
    path("me", views.me, name="me"),
    path("me/organisation/", views.organisation, name="organisation"),
    path("me/tokens/", views.tokens, name="tokens"),
    path("me/tokens/<int:pk>/revoke", views.token_revoke, name="token_revoke"),
    path("me/sessions/", views.sessions, name="sessions"),
    path("me/sessions/end/", views.sessions_end, name="sessions_end"),
    path("me/sessions/<int:pk>/end/", views.session_end, name="session_end"),
    path("a/people/", views.people, name="people"),
    path("a/people/add/", views.person_add, name="person_add"),
    path("a/people/<int:person_id>/", views.person, name="person"),
    path("a/people/<int:person_id>/role/", views.person_role, name="person_role"),
    path("a/people/<int:person_id>/remove/", views.person_remove, name="person_remove"),
    path("a/people/<int:person_id>/suspend/", views.person_suspend, name="person_suspend"),
    path("a/people/<int:person_id>/reactivate/", views.person_reactivate, name="person_reactivate"),
]

urlpatterns = [*entrance, path("", include((own, "accounts")))]
