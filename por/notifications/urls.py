from __future__ import annotations

from django.urls import path

from por.notifications import views

app_name = "notifications"
urlpatterns = [
    path("inbox/", views.inbox, name="inbox"),
    path("inbox/<int:notification_id>/done/", views.inbox_done, name="inbox_done"),
    path("inbox/<int:notification_id>/done/all/", views.inbox_done_all, name="inbox_done_all"),
    path("inbox/<int:notification_id>/reopen/", views.inbox_reopen, name="inbox_reopen"),
    path("me/mail/", views.preferences, name="preferences"),
    path("a/deliveries/", views.delivery_list, name="delivery_list"),
    path("a/deliveries/replay/", views.delivery_replay_failed, name="delivery_replay_failed"),
    path("a/deliveries/<int:delivery_id>/", views.delivery_detail, name="delivery_detail"),
    path("a/deliveries/<int:delivery_id>/replay/", views.delivery_replay, name="delivery_replay"),
    path("a/outbox/", views.outbox_list, name="outbox_list"),
    path("a/outbox/replay/", views.outbox_replay_dead, name="outbox_replay_dead"),
    path("a/outbox/<int:event_id>/replay/", views.outbox_replay, name="outbox_replay"),
    path("a/mail/", views.sink_list, name="sink_list"),
    path("a/mail/<str:key>/", views.sink_detail, name="sink_detail"),
]
