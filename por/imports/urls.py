from __future__ import annotations

from django.urls import path

from por.imports.views import loads, mappings

app_name = "estate"
urlpatterns = [
    path("a/loads/", loads.import_list, name="load_list"),
    path("a/loads/<int:import_id>/", loads.import_detail, name="load_detail"),
    path("a/loads/<int:import_id>/load/", loads.import_tried, name="load_tried"),
    path("a/loads/<int:import_id>/cancel/", loads.import_cancel, name="load_cancel"),
    path("a/loads/<int:import_id>/files/<int:number>/", mappings.mapping_edit, name="mapping_edit"),
    path("a/loads/mappings/", mappings.mapping_list, name="mapping_list"),
    path("a/loads/mappings/<int:mapping_id>/", mappings.mapping_detail, name="mapping_detail"),
    path("a/loads/mappings/<int:mapping_id>/remove/", mappings.mapping_remove, name="mapping_remove"),
]
