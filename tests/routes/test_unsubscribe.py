"""The link of a message, through API Gateway's events: what it does, and what it never does."""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from email.parser import BytesParser
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import settings as settings_module
from chalicelib.outbox import consents, kinds, suppressions
from chalicelib.outbox.kinds import Kind
from chalicelib.outbox.suppressions import Suppression
from chalicelib.outbox.unsubscribe import Subscription, sign
from chalicelib.routes import forms
from chalicelib.routes.call import Call
from chalicelib.settings import Settings
from sandbox.http import Reply
from tests.harness import Deployment
from tests.routes.doors import Door, opened

SECRET = "unsubscribe-secret-of-these-tests-0123456789"
PREVIOUS = "the-unsubscribe-secret-before-it-0123456789"
QUOTE = "billing.quote_followup"
NEWS = "probe.newsletter"
TIPS = "probe.tips"
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ADDRESS = "compta@boulangerie-martin.example"


def kind(name: str, **options: Any) -> Kind:
    return Kind(name, "Conseils d'entretien", "x", lambda *_: {}, timedelta(days=1), **options)


@pytest.fixture
def reader(shared: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """C1 of B1 got the relance of a quote (message 1)."""
    shared.reset()
    shared.execute("ALTER TABLE ponctuel.messages ALTER COLUMN id RESTART")
    monkeypatch.setenv("UNSUBSCRIBE_SECRET", SECRET)
    monkeypatch.setitem(kinds._KINDS, NEWS, kind(NEWS, category="marketing"))
    monkeypatch.setitem(kinds._KINDS, TIPS, kind(TIPS, unsubscribable=True))
    shared.open_business()
    with opened(shared) as door:
        message(door, QUOTE, recipient="Compta@Boulangerie-Martin.example, b@martin.example")
        yield door


def message(door: Door, name: str, **columns: Any) -> int:
    """A message that went out; returns its number."""
    values = {
        "business_id": "B1",
        "person": "C1",
        "recipient": ADDRESS,
        "contact": None,
        "channel": "email",
    } | columns
    (row,) = door.deployment.rows(
        "INSERT INTO ponctuel.messages (kind, subject, business_id, person, recipient, contact, "
        "channel, state, planned_at, not_before, expires_at, submitting_at) VALUES (:kind, "
        "gen_random_uuid()::text, :business_id, :person, :recipient, :contact, :channel, "
        "'accepted', ponctuel.clock(), ponctuel.clock(), ponctuel.clock(), ponctuel.clock()) "
        "RETURNING id",
        kind=name,
        **values,
    )
    return int(row["id"])


def path(category: str = QUOTE, person: str = "C1", number: int = 1, **options: Any) -> str:
    subscription = Subscription(options.pop("business", "B1"), person, category, number)
    token = sign(subscription, **({"stage": "local", "secrets": [SECRET]} | options))
    return f"/unsubscribe/{token}"


def choose(door: Door, choice: str, where: str | None = None) -> Reply:
    body = urlencode({"choice": choice})
    return door.outside("POST", where or path(), headers=FORM, body=body)


def entries(door: Door) -> list[tuple[str, str, str]]:
    """In force: (channel, contact, category)."""
    return [
        (row["channel"], row["contact"], row["category"])
        for row in door.deployment.rows(
            "SELECT * FROM ponctuel.suppressions WHERE lifted_at IS NULL "
            "ORDER BY category, channel, contact DESC"
        )
    ]


def everything(door: Door) -> list[Any]:
    tables = ("suppressions", "consents", "messages", "message_events", "runs", "refused_calls")
    return [door.deployment.rows(f"SELECT * FROM ponctuel.{table}") for table in tables]


def of(category: str) -> list[tuple[str, str, str]]:
    """What a click leaves: the message's addresses, and the person on the other channel."""
    return [
        ("email", ADDRESS, category),
        ("email", "b@martin.example", category),
        ("whatsapp", "", category),
    ]


def words(reply: Reply) -> str:
    """What a reader sees."""
    html = re.sub(r"(?s)<style>.*?</style>|<title>.*?</title>", "", reply.body.decode())
    return " ".join(unescape(re.sub("<[^>]+>", " ", re.sub("</?bdi>", "", html))).split())


def multipart(name: str = "List-Unsubscribe", value: str = "One-Click") -> bytes:
    part = f'--x1\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--x1--\r\n'
    return part.encode()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", ONE_CLICK),
        ("application/x-www-form-urlencoded; charset=UTF-8", f"{ONE_CLICK}\r\n"),
        ("multipart/form-data; boundary=x1", multipart()),
        ('Multipart/Form-Data; boundary="x1"', multipart()),
        ("text/plain", ONE_CLICK),
        (None, ONE_CLICK),
        ("application/x-www-form-urlencoded", b"\xff=x&" + ONE_CLICK.encode()),
    ],
)
def test_one_click_ends_what_the_link_is_about_at_once(
    reader: Door, content_type: str | None, body: str | bytes
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    reply = reader.outside("POST", path(), headers=headers, body=body)
    assert reply.status == 200
    assert not {"set-cookie", "location"} & reply.headers.keys()
    assert entries(reader) == of(QUOTE)
    rows = reader.deployment.rows(
        "SELECT DISTINCT reason, person, source FROM ponctuel.suppressions"
    )
    assert rows == [{"reason": "unsubscribe", "person": "C1", "source": "unsubscribe:1"}]
    assert reader.outside("POST", path(), headers=headers, body=body).status == 200
    assert entries(reader) == of(QUOTE)


@pytest.mark.parametrize("under", ["/api", ""])
def test_one_click_works_on_both_addresses(reader: Door, under: str) -> None:
    door = reader.under_stage() if under else reader
    assert door.outside("POST", under + path(), headers=FORM, body=ONE_CLICK).status == 200
    assert entries(reader) == of(QUOTE)


def test_looking_changes_nothing_however_often(reader: Door) -> None:
    before = everything(reader)
    for query in ("", "?List-Unsubscribe=One-Click", "?choice=stop_all"):
        reply = reader.outside("GET", path() + query)
        assert reply.status == 200
        assert "Rien ne change tant que vous n’avez pas choisi." in words(reply)
    assert everything(reader) == before


@pytest.mark.parametrize(
    "body", ["", "x", "choice=", "choice=stop:*", "choice=stop:billing.invoice_followup",
             "choice=resume:*", "choice=delete:billing.quote_followup", "List-Unsubscribe=1"],
)  # fmt: skip
def test_a_post_that_asks_for_nothing_offered_changes_nothing(reader: Door, body: str) -> None:
    before = everything(reader)
    reply = reader.outside("POST", path(), headers=FORM, body=body)
    assert reply.status == 400
    assert "Ouvrez de nouveau le lien" in words(reply)
    assert everything(reader) == before


def test_the_page_says_who_writes_what_and_what_was_chosen(reader: Door) -> None:
    message(reader, NEWS, recipient=ADDRESS)
    message(reader, "billing.invoice_followup")
    grant(reader)
    shown = words(reader.outside("GET", path()))
    assert shown.startswith("Vos messages de Menuiserie Perrin")
    assert "Relance de devis Vous recevez ces messages. Ne plus recevoir ces messages" in shown
    assert "Offres et nouveautés Vous recevez ces messages. Ne plus recevoir" in shown
    assert "Relance de facture" not in shown, "it cannot be refused"
    assert "Conseils" not in shown, "they never got any"
    assert "comme le rappel d’une facture à régler" in shown
    done = words(choose(reader, f"stop:{QUOTE}"))
    assert "C’est noté. Vous ne recevrez plus ces messages." in done
    assert "Relance de devis Vous ne recevez pas ces messages. Recevoir de nouveau" in done
    assert "Offres et nouveautés Vous recevez ces messages." in done
    assert entries(reader) == of(QUOTE)


def test_who_changes_their_mind_gets_these_messages_again(reader: Door) -> None:
    message(reader, TIPS)
    choose(reader, f"stop:{QUOTE}")
    choose(reader, f"stop:{TIPS}")
    shown = words(choose(reader, f"resume:{QUOTE}"))
    assert "Vous recevrez de nouveau ces messages." in shown
    assert {category for _, _, category in entries(reader)} == {TIPS}
    lifted = reader.deployment.rows(
        "SELECT DISTINCT lifted_by, lift_reason FROM ponctuel.suppressions "
        "WHERE lifted_at IS NOT NULL"
    )
    assert lifted == [{"lifted_by": "C1", "lift_reason": "unsubscribe:1"}]
    choose(reader, f"stop:{QUOTE}")
    assert set(of(QUOTE)) < set(entries(reader))
    assert len(entries(reader)) == 6


def test_no_more_messages_ends_all_that_may_be_refused_and_never_everything(reader: Door) -> None:
    grant(reader)
    shown = words(choose(reader, "stop_all"))
    assert {category for _, _, category in entries(reader)} == {QUOTE, TIPS, "marketing"}
    assert "Vous ne recevrez plus que les messages nécessaires." in shown
    assert "Plus aucun message" not in shown
    assert consented(reader) == []
    before = entries(reader)
    choose(reader, "stop_all")
    assert entries(reader) == before


def grant(door: Door, contact: str = ADDRESS) -> None:
    with door.deployment.database.begin() as connection:
        consents.grant(
            connection, business_id="B1", channel="email", contact=contact, source="caisse"
        )


def consented(door: Door) -> list[tuple[str, str]]:
    rows = door.deployment.rows(
        "SELECT contact, source FROM ponctuel.consents WHERE withdrawn_at IS NULL ORDER BY id"
    )
    return [(row["contact"], row["source"]) for row in rows]


def test_who_leaves_marketing_withdraws_their_consent_and_gives_it_anew_to_come_back(
    reader: Door,
) -> None:
    number = message(reader, NEWS)
    grant(reader)
    link = path("marketing", number=number)
    reader.outside("POST", link, headers=FORM, body=ONE_CLICK)
    assert consented(reader) == []
    rows = reader.deployment.rows("SELECT withdrawn_by FROM ponctuel.consents")
    assert rows == [{"withdrawn_by": f"unsubscribe:{number}"}]
    assert "Offres et nouveautés Vous ne recevez pas" in words(reader.outside("GET", link))
    assert "recevrez de nouveau" in words(choose(reader, "resume:marketing", link))
    assert consented(reader) == [(ADDRESS, f"unsubscribe:{number}")]
    assert entries(reader) == []
    assert "Offres et nouveautés Vous recevez" in words(reader.outside("GET", link))


@pytest.mark.parametrize("reason", ["stop", "complaint", "hard_bounce", "manual"])
def test_what_stopped_messages_otherwise_is_not_lifted_by_a_link(reader: Door, reason: Any) -> None:
    with reader.deployment.database.begin() as connection:
        suppressions.suppress(connection, [Suppression("*", "email", ADDRESS, reason)])
    shown = words(reader.outside("GET", path()))
    assert "Vous ne recevez pas ces messages. Pour les recevoir de nouveau, écrivez à" in shown
    assert choose(reader, f"resume:{QUOTE}").status == 400
    assert entries(reader) == [("email", ADDRESS, "*")]


def test_once_the_message_is_blanked_the_person_is_still_known(reader: Door) -> None:
    reader.deployment.execute("UPDATE ponctuel.messages SET recipient = NULL, contact = NULL")
    assert "Vous recevez ces messages" in words(reader.outside("GET", path()))
    assert reader.outside("POST", path(), headers=FORM, body=ONE_CLICK).status == 200
    assert entries(reader) == [("email", "", QUOTE), ("whatsapp", "", QUOTE)]
    assert "Vous ne recevez pas ces messages" in words(reader.outside("GET", path()))
    choose(reader, f"resume:{QUOTE}")
    assert entries(reader) == []


@pytest.mark.parametrize("other", [{"person": "C2"}, {"business_id": "B2"}])
def test_a_number_that_is_another_message_s_by_now_gives_no_address_away(
    reader: Door, other: dict[str, str]
) -> None:
    number = message(reader, QUOTE, recipient="other@elsewhere.example", **other)
    reader.outside("POST", path(number=number), headers=FORM, body=ONE_CLICK)
    assert entries(reader) == [("email", "", QUOTE), ("whatsapp", "", QUOTE)]


def test_who_unsubscribed_is_left_alone_at_a_new_address(reader: Door) -> None:
    choose(reader, f"stop:{QUOTE}")
    number = message(reader, QUOTE, recipient="new@martin.example", contact="new@martin.example")
    link = path(number=number)
    assert "Vous ne recevez pas ces messages" in words(reader.outside("GET", link))
    choose(reader, f"resume:{QUOTE}", link)
    assert entries(reader) == []


def test_the_relance_of_a_quote_carries_a_link_that_works_and_is_obeyed(
    reader: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://ponctuel.example/api")
    deployment = reader.deployment
    deployment.customer("C4", emails=ADDRESS)
    deployment.quote("D1", customer_id="C4")
    deployment.customer("C2", emails="c2@client.example")
    deployment.invoice("F1", customer_id="C2")
    deployment.tick()
    invoice, quote = sorted(
        (
            BytesParser().parsebytes((deployment.smtp.folder / entry.file).read_bytes())
            for entry in deployment.smtp.accepted()
        ),
        key=lambda mail: "List-Unsubscribe" in mail,
    )
    assert "List-Unsubscribe" not in invoice
    assert quote["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = quote["List-Unsubscribe"].strip()[1:-1]
    text, html = (part.get_payload(decode=True).decode() for part in quote.get_payload())
    assert f"\r\n{link}\r\n" in text
    assert f'href="{link}"' in html
    where = link.removeprefix("https://ponctuel.example/api")
    assert reader.outside("POST", where, headers=FORM, body=ONE_CLICK).status == 200
    deployment.customer("C3", emails=ADDRESS)
    deployment.quote("D3", customer_id="C3")
    deployment.customer("C5", emails=ADDRESS)
    deployment.invoice("F3", customer_id="C5")
    deployment.tick()
    (refused,) = deployment.messages(subject="D3")
    assert (refused["state"], refused["error_code"]) == ("cancelled", "unsubscribed")
    (sent,) = deployment.messages(subject="F3")
    assert sent["state"] == "accepted"


def test_two_businesses_with_the_same_ids_do_not_meet(reader: Door) -> None:
    reader.deployment.open_business("B2", name="Autre", sender_name=None)
    number = message(reader, QUOTE, business_id="B2")
    choose(reader, f"stop:{QUOTE}")
    shown = words(reader.outside("GET", path(number=number, business="B2")))
    assert "Vos messages de Autre Rien" in shown
    assert "Vous recevez ces messages" in shown


def test_a_link_without_anybody_left_says_so(reader: Door) -> None:
    for method, body in (("GET", None), ("POST", ONE_CLICK)):
        reply = reader.outside(method, path(person="", number=999), headers=FORM, body=body)
        assert reply.status == 404
        assert "Écrivez à l’entreprise" in words(reply)
    assert entries(reader) == []


def test_a_lead_without_an_id_is_known_by_the_address(reader: Door) -> None:
    number = message(reader, NEWS, person="", contact="lead@x.example", recipient=None)
    link = path("marketing", person="", number=number)
    reader.outside("POST", link, headers=FORM, body=ONE_CLICK)
    assert entries(reader) == [("email", "lead@x.example", "marketing")]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p[:-1] + ("A" if p[-1] != "A" else "B"),
        lambda p: p[:-1],
        lambda p: p + "x",
        lambda p: p.replace("1.", "2.", 1),
        lambda _: path(stage="prod"),
        lambda _: path(secrets=[PREVIOUS]),
        lambda _: "/unsubscribe/x",
        lambda _: "/unsubscribe/%C3%A9%00",
        lambda _: "/unsubscribe/" + "x" * 5000,
    ],
)
def test_a_link_that_is_not_ours_is_400_and_says_what_to_do(
    reader: Door, spoil: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    for method, body in (("GET", None), ("POST", ONE_CLICK)):
        reply = reader.outside(method, spoil(path()), headers=FORM, body=body)
        assert reply.status == 400
        assert "répondez à ce message pour demander à ne plus en recevoir" in words(reply)
    assert entries(reader) == []


def test_links_of_before_and_after_a_change_of_secret_both_work(
    reader: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSUBSCRIBE_SECRET_PREVIOUS", PREVIOUS)
    for secret in (SECRET, PREVIOUS):
        assert reader.outside("GET", path(secrets=[secret])).status == 200


@pytest.mark.parametrize("secret", [None, "too-short"])
def test_without_a_usable_secret_it_is_503_and_tells_no_setting(
    reader: Door, secret: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = path()
    held = {"UNSUBSCRIBE_SECRET": secret} if secret else {}
    monkeypatch.setattr(settings_module, "_current", Settings.from_mapping(held))
    reply = reader.outside("GET", link)
    assert reply.status == 503
    assert "Répondez au message" in words(reply)
    assert b"SECRET" not in reply.body


def test_while_the_database_is_away_the_page_asks_to_try_again(
    reader: Door, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody:canary@127.0.0.1:{port}/nothing")
    for method, body in (("GET", None), ("POST", ONE_CLICK)):
        reply = reader.outside(method, path(), headers=FORM, body=body)
        assert reply.status == 500
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert "Réessayez dans quelques minutes" in words(reply)
        assert b"canary" not in reply.body
    assert "page_failed" in capfd.readouterr().err


def test_no_token_is_logged(reader: Door, capfd: pytest.CaptureFixture[str]) -> None:
    link = path()
    for door, before in ((reader, ""), (reader.under_stage(), "/api")):
        door.outside("GET", before + link)
        door.outside("POST", before + link, headers=FORM, body=ONE_CLICK)
        door.outside("GET", f"{before}{link}x")
    logged = capfd.readouterr().err
    assert '"path":"/unsubscribe/{token}"' in logged.replace(" ", "")
    assert link.split(".")[2] not in logged
    assert ADDRESS not in logged


class Page(HTMLParser):
    """Tags with their attributes; fails on what a page may not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "name",
    [
        '<script>alert(1)</script>"><img src=x onerror=alert(1)>',
        "</style></title></textarea><style>*{display:none}</style>",
        "{{ 7 * 7 }}{% raw %}&amp;'",
        "\u202egnp.exe\u2066 \u05d0\u05d1\u05d2 \u0627\u0644\u0645\u062d\u0644",
        "é" * 5000,
        "a b " * 1250,
        "\x01\x1b[31m\r\nSet-Cookie: x=1",
    ],
)
def test_no_name_of_a_business_can_do_anything_to_the_page(reader: Door, name: str) -> None:
    reader.deployment.execute("UPDATE ponctuel.businesses SET sender_name = :name", name=name)
    message(reader, TIPS)
    for reply in (reader.outside("GET", path()), choose(reader, f"stop:{QUOTE}")):
        assert reply.status == 200
        html = reply.body.decode()
        page = Page()
        page.feed(html)
        assert page.open == []
        allowed = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "bdi",
                   "form", "button", "ul", "li"}  # fmt: skip
        assert {tag for tag, _ in page.tags} <= allowed
        assert not {name for _, found in page.tags for name in found} & {"style", "src", "href"}
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", html)
        assert len(html) < 12_000
        assert "49" not in words(reply)


def test_the_page_allows_its_own_style_and_nothing_else(reader: Door) -> None:
    reply = reader.outside("GET", path())
    (style,) = re.findall("(?s)<style>(.*?)</style>", reply.body.decode())
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert reply.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in reply.headers["x-robots-tag"]
    assert '<meta name="robots" content="noindex,nofollow">' in reply.body.decode()
    assert re.search("<html lang=.fr.", reply.body.decode())


def test_pages_are_written_in_french_typography(reader: Door) -> None:
    pages = [reader.outside("GET", path()), choose(reader, f"stop:{QUOTE}"),
             choose(reader, "stop_all"), reader.outside("GET", path() + "x"),
             choose(reader, "nothing")]  # fmt: skip
    for reply in pages:
        visible = unescape(re.sub("(?s)<style>.*?</style>|<[^>]+>", "\n", reply.body.decode()))
        assert not re.search(" [;!?»:]|« |[^\\W\\d_]'[^\\W\\d_]", visible)
        assert not re.search("None|Undefined|{{|{%", visible)


def test_a_kind_that_this_code_no_longer_knows_can_still_be_refused(reader: Door) -> None:
    number = message(reader, "gone.kind")
    link = path("gone.kind", number=number)
    assert "Messages comme celui que vous avez reçu" in words(reader.outside("GET", link))
    reader.outside("POST", link, headers=FORM, body=ONE_CLICK)
    assert {category for _, _, category in entries(reader)} == {"gone.kind"}


def test_without_the_business_the_page_still_works(reader: Door) -> None:
    reader.deployment.execute("DELETE FROM ponctuel.businesses")
    assert "Vos messages de cette entreprise" in words(reader.outside("GET", path()))
    assert choose(reader, f"stop:{QUOTE}").status == 200


@given(
    st.binary(max_size=200),
    st.sampled_from(["", "multipart/form-data; boundary=x1", "multipart/form-data", "a\r\nb: c"]),
)
def test_no_body_breaks_the_reading_of_a_form(body: bytes, kind: str) -> None:
    for raw in (body, multipart()[:40] + body, body + multipart(), multipart("n", "v") + body):
        event = {
            "headers": {"content-type": kind},
            "body": b64encode(raw).decode(),
            "isBase64Encoded": True,
        }
        found = forms.fields(Call(event, {}, Settings.from_mapping({})))
        assert all(isinstance(value, str) for value in found.values())


def test_a_form_that_is_too_long_is_refused(reader: Door) -> None:
    for body in ("a=" + "x" * 30_000, "a=1&" * 200 + ONE_CLICK):
        reply = reader.outside("POST", path(), headers=FORM, body=body)
        assert reply.status == 400
    assert entries(reader) == []
