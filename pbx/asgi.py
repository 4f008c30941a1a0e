"""The site as an ASGI application: live pages are Server-Sent Events, so uvicorn serves it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pbx.settings")
application = get_asgi_application()

from . import urls  # noqa: E402, F401 - here, so that the first visitor does not wait for it
