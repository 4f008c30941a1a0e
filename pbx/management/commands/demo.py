"""Fills an empty site with a small office, so that the first page has something to show."""

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction

from agents.models import Agent
from routes.destinations import Destination
from routes.models import InboundRoute

OFFICE = {
    "1001": "Alice Martin",
    "1002": "Bilal Haddad",
    "1003": "Chloé Dubois",
    "1004": "Dmitri Orlov",
    "1010": "Reception",
    "2001": "Emma O'Brien",
    "2002": "Farid Nasser",
    "3001": "Grace Kim",
}
NUMBERS = {"+12025550110": ("Main number", "1010"), "+12025550111": ("Sales", "2001")}


class Command(BaseCommand):
    help = "Add a small demo office (agents and DIDs). Does nothing when there are agents already."

    @transaction.atomic
    def handle(self, *args: object, **options: object) -> None:
        if Agent.objects.exists():
            self.stdout.write("There are agents already: nothing was added.")
            return
        owner = get_user_model().objects.filter(is_superuser=True).order_by("pk").first()
        for extension, name in OFFICE.items():
            Agent.objects.create(extension=extension, name=name, user=owner if extension == "1001" else None)
        for did, (description, extension) in NUMBERS.items():
            agent = Destination.to(Agent.objects.get(extension=extension))
            InboundRoute.objects.create(did=did, description=description, destination=agent)
        self.stdout.write(f"Added {len(OFFICE)} agents and {len(NUMBERS)} inbound routes.")
