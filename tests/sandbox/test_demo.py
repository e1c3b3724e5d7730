"""`make demo`, on a smaller sample: what it says happens, happens."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

import app
from sandbox import clock, demo, http, mail_answer, sample, sample_whatsapp, whatsapp_answer
from sandbox.environment import (
    LINK_SECRET,
    MAILBOX_KEYS,
    MAILBOX_USER,
    UNSUBSCRIBE_SECRET,
    Environment,
)
from sandbox.imap import ImapSandbox
from sandbox.whatsapp_twilio import TwilioSandbox
from tests.harness import Deployment


@pytest.fixture
def environment(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """The demo's environment around the test's own database and SMTP server."""
    deployment.execute("DELETE FROM ponctuel.job_state")
    engine = deployment.database.engine()
    with (
        TwilioSandbox(
            deployment.folder / "whatsapp",
            templates=sample_whatsapp.templates(),
            clock=lambda: clock.now(engine),
        ) as whatsapp,
        ImapSandbox(user=MAILBOX_USER) as imap,
        http.serving(app.app) as port,
    ):
        with deployment.database.begin() as connection:
            sample_whatsapp.register_templates(connection)
        settings = {
            "DATABASE_URL": deployment.database.url,
            "WHATSAPP_URL": whatsapp.url,
            "TWILIO_AUTH_TOKEN": whatsapp.token,
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "LINK_SECRET": LINK_SECRET,
            "UNSUBSCRIBE_SECRET": UNSUBSCRIBE_SECRET,
            "MAILBOX_KEYS": MAILBOX_KEYS,
            "INBOX_PRIVATE_HOSTS": "127.0.0.1",
            "LOG_LEVEL": "ERROR",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield Environment(deployment.folder, settings, whatsapp, imap)


def test_the_demo_tells_of_both_channels_a_night_a_stop_a_lost_answer_and_a_mailbox(
    environment: Environment, deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    small = sample.build(demo.SAMPLE_DAY, invoices_per_business=90, quotes_per_business=34)
    assert demo.tell(environment, deployment.database.engine(), small) == 0
    told = re.sub(r"\s+", " ", capsys.readouterr().out)
    for sentence in (
        "Messages envoyés par cette seconde exécution : 0.",
        "Objet : ",
        "WhatsApp, +33 6 39 98 ",
        "Est-il parti ? Pas encore : retenu jusqu'au 11 mars 2026 à 8 h 00",
        "Est-il parti ? Oui : le serveur de messagerie l'a accepté le 11 mars 2026 à 8 h 00",
        "(le destinataire a demandé de ne plus rien recevoir)",
        "À traiter : ces niveaux ne sont pas partis",
        "relances de ce client en pause, jusqu'au 18/03/2026 inclus",
        "Est-il parti ? Personne ne le sait",
        "(preuve trouvée le 13 mars 2026 à 9 h 02)",
        "et remis le 13 mars 2026 à 9 h 03.",
        "ce message figure une seule fois",
        "Boîte n° 1 (contact@menuiserie-perrin.example, 127.0.0.1) : active.",
        "Les 13 e-mails lus à 9 h 20, chacun une fois",
        "réponse automatique",
        "avis de non-remise",
        "lettre d'information",
        "sans Message-ID",
        "accents d'un autre codage",
        "Facture n° 7731.pdf",
        "parties mal fermées",
        "relances de ce client en pause, jusqu'au 20/03/2026 inclus",
        "À : contact@menuiserie-perrin.example",
        "Ses relances sont en pause jusqu’au 20 mars 2026 inclus",
        "mais il n'a pas été remis",
        "l'adresse ne reçoit plus de courrier",
        "Nouveaux e-mails à la lecture de 9 h 25 : 0.",
        "À 9 h 30 : 1 nouveau, dans la même conversation (2 e-mails).",
        "Au bout du compte, 14 e-mails que le serveur montre à 15 endroits.",
        "supprimé : 0 commande de ce genre.",
        "Déclarer la TVA",
        "À : u2@menuiserie-perrin.example",
        "Commander les ferrures du chantier Rivière",
        "À : u1@menuiserie-perrin.example",
        "Prise de mesures",
        "Messages de plus au passage de 9 h : 0.",
        "Objet : Votre compte sera supprimé dans 7 jours",
        "annulée par le lien de l'e-mail",
        "trace, si une sauvegarde est restaurée",
        "B9 Atelier Colin 2 04/11/2025 12/01/2026 31/12/2036",
        "Le registre et les serveurs du bac à sable concordent",
    ):
        assert sentence in told
        told = told.partition(sentence)[2]

    [sent] = deployment.rows(
        "SELECT max(id) AS id FROM ponctuel.messages WHERE business_id = 'B1' "
        "AND kind = 'billing.invoice_followup' AND channel = 'email' AND state = 'accepted'"
    )
    before = len(environment.imap.flags("INBOX"))
    assert mail_answer.main([str(sent["id"]), "Bonjour,", "c'est", "réglé."]) == 0
    assert len(environment.imap.flags("INBOX")) == before + 1
    assert mail_answer.main(["999999", "Bonjour"]) == 1


def test_somebody_answers_at_the_sandbox_as_twilio_tells_it(
    environment: Environment, deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert whatsapp_answer.main(["+33639980001", "Arrêtez", "les", "relances"]) == 0
    assert deployment.rows("SELECT text, intent FROM ponctuel.inbound_messages") == [
        {"text": "Arrêtez les relances", "intent": "opt_out"}
    ]
    assert capsys.readouterr().out == "Reçu.\n"


def test_who_answers_at_a_sandbox_that_is_not_there_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PUBLIC_URL", raising=False)
    assert whatsapp_answer.main(["+33639980001", "STOP"]) == 1
    assert "source var/serve/env" in capsys.readouterr().err
    monkeypatch.setenv("PUBLIC_URL", "http://127.0.0.1:1")
    assert whatsapp_answer.main(["+33639980001", "STOP"]) == 1
    assert "make serve" in capsys.readouterr().err
