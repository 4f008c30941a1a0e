"""The look: unfold's settings. Live badges are callbacks, so that they are read for each page."""

from collections.abc import Callable

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _is_staff(request: HttpRequest) -> bool:
    return request.user.is_staff


def _has_phone(request: HttpRequest) -> bool:
    return getattr(request.user, "agent", None) is not None


def _sees(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.is_staff and request.user.has_perm(permission)


def _sees_list(url: str) -> Callable[[HttpRequest], bool]:
    """The rule of the admin's own lists: who may change sees, too."""
    app, model, _ = url.removeprefix("admin:").split("_")
    return lambda request: (
        request.user.is_staff
        and any(request.user.has_perm(f"{app}.{verb}_{model}") for verb in ("view", "change"))
    )


def _item(
    title: str,
    icon: str,
    url: str,
    badge: str = "",
    permission: Callable[[HttpRequest], bool] | None = None,
) -> dict[str, object]:
    """Shown to those who get more than a refusal there."""
    item: dict[str, object] = {"title": title, "icon": icon, "link": reverse_lazy(url)}
    item["permission"] = permission or _sees_list(url)
    if badge:
        item["badge"] = f"pbx.badges.{badge}"
    return item


UNFOLD = {
    "SITE_TITLE": "Patchbay",
    "SITE_HEADER": "Patchbay",
    "SITE_SUBHEADER": "Your FreeSWITCH, in the browser",
    "SITE_SYMBOL": "cable",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("pbx/favicon.svg")}
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "DASHBOARD_CALLBACK": "pbx.dashboard.context",
    "STYLES": [lambda request: static("pbx/patchbay.css")],
    "SCRIPTS": [
        lambda request: static("pbx/stream.js"),
        lambda request: static("pbx/live.js"),
        lambda request: static("pbx/control.js"),
    ],
    "COLORS": {
        "primary": {
            "50": "oklch(97.7% .013 236.6)",
            "100": "oklch(95.1% .026 236.8)",
            "200": "oklch(90.1% .058 230.9)",
            "300": "oklch(82.8% .111 230.3)",
            "400": "oklch(74.6% .16 232.7)",
            "500": "oklch(68.5% .169 237.3)",
            "600": "oklch(58.8% .158 242)",
            "700": "oklch(50% .134 242.7)",
            "800": "oklch(44.3% .11 240.8)",
            "900": "oklch(39.1% .09 240.9)",
            "950": "oklch(29.3% .066 243.2)",
        }
    },
    "COMMAND": {"search_models": True, "show_history": True},
    "LOGIN": {"form": "pbx.login.LoginForm"},
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "Live",
                "separator": False,
                "items": [
                    _item("Dashboard", "monitoring", "admin:index", permission=_is_staff),
                    _item(
                        "Active calls",
                        "phone_in_talk",
                        "active_calls",
                        "active_calls",
                        _sees("calls.view_active_calls"),
                    ),
                    _item("Phones", "deskphone", "phones", "phones", _sees("agents.view_agent")),
                    _item("My phone", "contact_phone", "my_phone", permission=_has_phone),
                ],
            },
            {
                "title": "Records",
                "separator": True,
                "items": [_item("Calls", "history", "admin:cdr_call_changelist")],
            },
            {
                "title": "Phones",
                "separator": True,
                "items": [
                    _item("Agents", "support_agent", "admin:agents_agent_changelist"),
                    _item("Ring groups", "groups_2", "admin:routes_ringgroup_changelist"),
                ],
            },
            {
                "title": "Routing",
                "separator": True,
                "items": [
                    _item("Inbound routes", "call_received", "admin:routes_inboundroute_changelist"),
                    _item("Outbound routes", "call_made", "admin:routes_outboundroute_changelist"),
                    _item("Gateways", "router", "admin:routes_gateway_changelist", "gateways_down"),
                    _item("Business hours", "schedule", "admin:routes_businesshours_changelist"),
                    _item(
                        "Who rings if …",
                        "live_help",
                        "who_rings",
                        permission=_sees("routes.view_inboundroute"),
                    ),
                ],
            },
            {
                "title": "Switch",
                "separator": True,
                "items": [
                    _item("Changes", "sync", "admin:eslbridge_pendingchange_changelist", "pending_changes"),
                    _item("Switches", "dns", "admin:eslbridge_switch_changelist"),
                ],
            },
            {
                "title": "Site",
                "separator": True,
                "items": [
                    _item("Users", "person", "admin:auth_user_changelist"),
                    _item("Roles", "groups", "admin:auth_group_changelist"),
                    _item("API tokens", "key", "admin:pbx_apitoken_changelist"),
                ],
            },
        ],
    },
}
