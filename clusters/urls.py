"""URLs of this app's pages."""

from __future__ import annotations

from django.urls import path

from clusters.views import actions, clusters, metrics, prices, register

urlpatterns = [
    path("clusters/", clusters.cluster_list, name="clusters"),
    path("clusters/register/", register.register, name="cluster_register"),
    path("clusters/register/member-rbac.yaml", register.member_rbac, name="member_rbac"),
    path("clusters/<slug:name>/", clusters.cluster_page, name="cluster"),
    path("clusters/<slug:name>/check/", actions.check, name="cluster_check"),
    path("clusters/<slug:name>/cordon/", actions.cordon, name="cluster_cordon"),
    path("clusters/<slug:name>/uncordon/", actions.uncordon, name="cluster_uncordon"),
    path("clusters/<slug:name>/quota/", actions.quota, name="cluster_quota"),
    path("clusters/<slug:name>/metrics/", metrics.metrics, name="cluster_metrics"),
    path("clusters/<slug:name>/credential/", actions.credential, name="cluster_credential"),
    path("clusters/<slug:name>/remove/", actions.remove, name="cluster_remove"),
    path("prices/", prices.price_list, name="prices"),
    path("prices/set/", prices.set_price, name="price_set"),
    path("prices/import/", prices.import_prices, name="price_import"),
    path("prices/history/", prices.price_history, name="price_history"),
    path("prices/prices.csv", prices.prices_csv, name="prices_csv"),
]
