"""The same letters by django-post_office, as its documentation sets it up: its queue in the same
PostgreSQL, its template rendered on delivery, its own threads and batches, its command's function.

`python -m bench.post_office queue|send PORT DATABASE SOCKET COUNT`. Queueing is not measured.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.processes import Stopwatch
from chalicelib.outbox.rendering import render, sample

TEMPLATE = "invoice_followup"


def configure(port: int, database: str, socket: Path) -> None:
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["post_office"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": database,
                "USER": "postgres",
                "HOST": str(socket.parent),
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
    )
    django.setup()


def queue(count: int) -> None:
    from django.core.management import call_command
    from post_office import mail
    from post_office.models import Email, EmailTemplate

    call_command("migrate", verbosity=0)
    Email.objects.all().delete()
    EmailTemplate.objects.update_or_create(name=TEMPLATE, defaults=_template())
    letters = [
        {
            "recipients": f"c{number}@client.example",
            "sender": "Menuiserie Lefèvre & Fils <relances@menuiserie.example>",
            "template": TEMPLATE,
            "context": {"customer": f"Hôtel de la Gare n° {number}", "number": f"F{number}"},
            "render_on_delivery": True,
        }
        for number in range(count)
    ]
    mail.send_many(letters)


def send(count: int) -> None:
    from django.core.mail.utils import DNS_NAME
    from post_office.mail import send_queued_mail_until_done
    from post_office.models import STATUS, Email

    DNS_NAME.get_fqdn()  # a name server's time-out is nobody's fault
    with tempfile.TemporaryDirectory() as folder, Stopwatch():
        send_queued_mail_until_done(lockfile=f"{folder}/lock")
    sent = Email.objects.filter(status=STATUS.sent).count()
    assert sent == count, (sent, count)


def _template() -> dict[str, str]:
    """Our own letter with two variables in place of what differs from one to the next."""
    content: dict[str, Any] = sample(TEMPLATE)
    name, number = content["customer"]["name"], content["documents"][0]["number"]
    letter = render(TEMPLATE, content)

    def variable(text: str) -> str:
        return text.replace(name, "{{ customer }}").replace(number, "{{ number }}")

    return {
        "subject": variable(letter.subject),
        "content": variable(letter.text),
        "html_content": variable(letter.html),
    }


def main(what: str, port: int, database: str, socket: Path, count: int) -> None:
    configure(port, database, socket)
    {"queue": queue, "send": send}[what](count)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), int(sys.argv[5]))
