"""The settings of what is sent: providers, their secrets, limits. See `settings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import setting_types as parse
from chalicelib.setting import Setting
from chalicelib.setting_types import ServiceUrl

if TYPE_CHECKING:
    from chalicelib.providers.mail.port import Address


class SendingSettings:
    """A part of the table: `Settings` reads it."""

    # fmt: off
    mail_url: Setting[ServiceUrl | None] = Setting(
        "MAIL_URL", parse.mail_url, None, secret=True,
        meaning="envoi des e-mails : smtp://, smtps:// ou ses://région",
        example="smtps://utilisateur:motdepasse@smtp.example.fr:465")
    # Providers' own limits are per account: SES tells its rate and quota in its console, WhatsApp
    # its tier (250, 2,000, 10,000… persons in 24 hours).
    mail_rate: Setting[int | None] = Setting(
        "MAIL_RATE", parse.whole_number(1, 1000), None,
        meaning="e-mails par seconde au plus (SES : Maximum send rate) ; vide : sans limite",
        example="14")
    mail_quota: Setting[int | None] = Setting(
        "MAIL_QUOTA", parse.whole_number(1, 10_000_000), None,
        meaning="e-mails par 24 heures au plus, toutes entreprises ; vide : sans limite",
        example="50000")
    whatsapp_url: Setting[ServiceUrl | None] = Setting(
        "WHATSAPP_URL", parse.whatsapp_url, None, secret=True,
        meaning="envoi WhatsApp : twilio://AC…:jeton@?from=+33… ou meta://:jeton@numéro",
        example="meta://:EAAJ…@106540352242922")
    whatsapp_rate: Setting[int | None] = Setting(
        "WHATSAPP_RATE", parse.whole_number(1, 1000), None,
        meaning="messages WhatsApp par seconde au plus ; vide : sans limite",
        example="20")
    whatsapp_quota: Setting[int | None] = Setting(
        "WHATSAPP_QUOTA", parse.whole_number(1, 10_000_000), None,
        meaning="messages WhatsApp par 24 heures au plus, toutes entreprises ; vide : sans limite",
        example="2000")
    quota_reserve: Setting[int] = Setting(
        "QUOTA_RESERVE", parse.whole_number(0, 100), 20,
        meaning="part de chaque quota que la prospection laisse aux autres messages, en %",
        example="20")
    twilio_auth_token: Setting[str | None] = Setting(
        "TWILIO_AUTH_TOKEN", parse.provider_secret, None, secret=True,
        meaning="jeton du compte Twilio, qui signe ses webhooks",
        example="0a1b2c3d4e5f60718293a4b5c6d7e8f9")
    twilio_auth_token_previous: Setting[str | None] = Setting(
        "TWILIO_AUTH_TOKEN_PREVIOUS", parse.provider_secret, None, secret=True,
        meaning="jeton Twilio d'avant, encore accepté pendant un changement",
        example="9f8e7d6c5b4a39281706f5e4d3c2b1a0")
    meta_app_secret: Setting[str | None] = Setting(
        "META_APP_SECRET", parse.provider_secret, None, secret=True,
        meaning="secret de l'application Meta, qui signe ses webhooks",
        example="1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d")
    meta_app_secret_previous: Setting[str | None] = Setting(
        "META_APP_SECRET_PREVIOUS", parse.provider_secret, None, secret=True,
        meaning="secret Meta d'avant, encore accepté pendant un changement",
        example="6d5c4b3a2f1e0d9c8b7a6f5e4d3c2b1a")
    meta_verify_token: Setting[str | None] = Setting(
        "META_VERIFY_TOKEN", parse.provider_secret, None, secret=True,
        meaning="jeton de vérification saisi chez Meta avec l'adresse du webhook",
        example="Zk3vQ8wLr2Ty6Hn9")
    ses_topic_arns: Setting[frozenset[str]] = Setting(
        "SES_TOPIC_ARNS", parse.topic_arns, frozenset(),
        meaning="sujets SNS qui apportent les événements de SES",
        example="arn:aws:sns:eu-west-3:123456789012:ponctuel-ses")
    sent_folder_url: Setting[ServiceUrl | None] = Setting(
        "SENT_FOLDER_URL", parse.sent_folder_url, None, secret=True,
        meaning="dossier Envoyés du compte SMTP, où chercher la preuve d'un envoi incertain",
        example="imaps://utilisateur:motdepasse@imap.example.fr:993/Sent")
    unsubscribe_secret: Setting[str | None] = Setting(
        "UNSUBSCRIBE_SECRET", parse.secret, None, secret=True,
        meaning="secret qui signe les liens de désinscription, 32 caractères au moins",
        example="t5Rw8Yb1Nc4Xe7Ku…")
    unsubscribe_secret_previous: Setting[str | None] = Setting(
        "UNSUBSCRIBE_SECRET_PREVIOUS", parse.secret, None, secret=True,
        meaning="secret d'avant : les liens des anciens messages restent bons",
        example="h2Gd6Sj9Mv3Pq8Za…")
    link_secret: Setting[str | None] = Setting(
        "LINK_SECRET", parse.secret, None, secret=True,
        meaning="secret qui signe les liens des pages (suppression de compte, closer), 32 "
        "caractères au moins",
        example="p4Kz7Wn2Qy9Fc6Lb…")
    link_secret_previous: Setting[str | None] = Setting(
        "LINK_SECRET_PREVIOUS", parse.secret, None, secret=True,
        meaning="secret d'avant : ses liens restent bons jusqu'à leur fin",
        example="r8Vd3Ht6Xm1Sj5Ga…")
    # GDPR, article 12(3): a request is answered within a month.
    account_deletion_days: Setting[int] = Setting(
        "ACCOUNT_DELETION_DAYS", parse.whole_number(8, 90), 30,
        meaning="délai entre la demande de suppression d'un compte et son effacement, en jours",
        example="30")
    stripe_api_key: Setting[str | None] = Setting(
        "STRIPE_API_KEY", parse.provider_secret, None, secret=True,
        meaning="clé restreinte de Stripe (écriture sur Customers), pour y effacer les clients "
        "dont le compte est effacé",
        example="rk_live_51Hxyz…")
    reply_pause_days: Setting[int] = Setting(
        "REPLY_PAUSE_DAYS", parse.whole_number(0, 90), 7,
        meaning="pause des relances d'un client qui répond sur WhatsApp, en jours ; 0 : aucune",
        example="7")
    mail_from: Setting[Address | None] = Setting(
        "MAIL_FROM", parse.sender, None,
        meaning="expéditeur des entreprises qui n'ont pas le leur",
        example="Ponctuel <relances@example.fr>")
    # SES (v2 API and SMTP) takes 40 MB once encoded, 1.37 times the file (service quotas page,
    # read in 2026); many receivers refuse more than 20 MB, and 10 MB is 13.7 MB once encoded.
    max_attachment_mb: Setting[int] = Setting(
        "MAX_ATTACHMENT_MB", parse.whole_number(1, 28), 10,
        meaning="taille maximale des pièces jointes d'un e-mail, en mégaoctets",
        example="10")
    sending_concurrency: Setting[int] = Setting(
        "SENDING_CONCURRENCY", parse.whole_number(1, 16), 8,
        meaning="envois en parallèle dans un passage",
        example="4")
    # fmt: on
