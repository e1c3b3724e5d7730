"""A closer's page, through API Gateway's events: what a tap does, and what nobody else can do."""

from __future__ import annotations

import re
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pytest

from chalicelib import settings as settings_module
from chalicelib.domain.leads import closer_link
from chalicelib.domain.leads.reasons import SKIPPED
from chalicelib.routes import refusals
from chalicelib.settings import Settings
from sandbox.http import Reply
from tests import lead_rows
from tests.harness import NOW, Deployment
from tests.routes.doors import SECRET as CRON_SECRET
from tests.routes.doors import Door, opened

SECRET = "the-link-secret-of-these-tests-0123456789"
PREVIOUS = "the-link-secret-before-it-0123456789abcd"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BASE = {"PUBLIC_URL": "https://ponctuel.example", "LINK_SECRET": SECRET}


@pytest.fixture
def closer(shared: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """U1 of B1 is to send L1 its first follow-up (proposal 1)."""
    shared.reset()
    shared.execute("ALTER TABLE ponctuel.lead_followups ALTER COLUMN id RESTART")
    monkeypatch.setenv("LINK_SECRET", SECRET)
    lead_rows.open_business(shared)
    lead_rows.lead(shared)
    lead_rows.proposal(shared)
    with opened(shared) as door:
        yield door


def path(user: str = "U1", business: str = "B1", **options: Any) -> str:
    issued = options.pop("issued", NOW)
    link = closer_link.link_for(Settings.from_mapping(BASE | options), business, user, issued)
    assert link is not None
    return link.removeprefix("https://ponctuel.example")


def tap(door: Door, act: str, number: int | str = 1, where: str | None = None) -> Reply:
    body = urlencode({"id": number, "act": act})
    return door.outside("POST", where or path(), headers=FORM, body=body)


def words(reply: Reply) -> str:
    """What a reader sees."""
    html = re.sub(r"(?s)<style>.*?</style>|<title>.*?</title>", "", reply.body.decode())
    return " ".join(unescape(re.sub("<[^>]+>", " ", re.sub("</?bdi>", "", html))).split())


def after(door: Door, reply: Reply, where: str | None = None) -> str:
    """The page to which the answer to a tap leads."""
    assert reply.status == 303
    query = reply.headers["location"].partition("#")[0]
    return words(door.outside("GET", (where or path()) + query))


def followup(door: Door, number: int = 1) -> dict[str, Any]:
    (row,) = door.deployment.rows("SELECT * FROM ponctuel.lead_followups WHERE id = :id", id=number)
    return dict(row)


def state(door: Door, number: int = 1) -> str:
    return str(followup(door, number)["state"])


def everything(door: Door) -> list[Any]:
    tables = ("lead_followups", "leads", "notifications", "suppressions", "refused_calls")
    return [door.deployment.rows(f"SELECT * FROM ponctuel.{table}") for table in tables]


def test_the_page_tells_whom_to_write_to_what_and_since_when(closer: Door) -> None:
    for number in (1, 2, 3):
        lead_rows.insert(closer.deployment, "lead_cadences", {
            "business_id": "B1", "stage": "nouveau", "number": number, "delay_hours": 24,
        })  # fmt: skip
    reply = closer.outside("GET", path())
    assert reply.status == 200
    shown = words(reply)
    assert "Sophie Laurent" in shown
    assert "Claire Rivière À faire" in shown
    assert "Étape nouveau · Relance n° 1 sur 3" in shown
    assert "À relancer depuis le 9 mars 2026 à 10 h 00" in shown
    assert "06 39 98 00 01" in shown
    assert "Bonjour Claire, avez-vous pu réfléchir ?" in shown
    assert "Il est bon jusqu’au 17 mars 2026 à 10 h 00" in shown


def test_a_business_without_a_cadence_of_its_own_has_the_usual_three(closer: Door) -> None:
    assert "Relance n° 1 sur 3" in words(closer.outside("GET", path()))
    lead_rows.insert(closer.deployment, "lead_cadences", {
        "business_id": "B1", "stage": "devis", "number": 1, "delay_hours": 24,
    })  # fmt: skip
    assert "Relance n° 1 À relancer" in words(closer.outside("GET", path()))


def test_looking_changes_nothing_however_often_scanners_look(closer: Door) -> None:
    before = everything(closer)
    for query in ("", "?id=1", "?id=1&act=sent", "?act=open&id=1", "?page=9"):
        assert closer.outside("GET", path() + query).status == 200
    assert everything(closer) == before


def test_one_tap_opens_whatsapp_on_the_text_and_marks_it_opened(closer: Door) -> None:
    reply = tap(closer, "open")
    assert reply.status == 303
    found = urlsplit(reply.headers["location"])
    assert (found.scheme, found.netloc, found.path) == ("https", "wa.me", "/33639980001")
    assert parse_qs(found.query) == {"text": ["Bonjour Claire, avez-vous pu réfléchir ?"]}
    assert state(closer) == "opened"
    assert "Ouverte à 10 h 00, à confirmer" in words(closer.outside("GET", path()))
    (lead,) = closer.deployment.rows("SELECT * FROM ponctuel.leads")
    assert lead["followups"] == 0


def test_it_counts_once_when_it_is_said_to_be_sent_however_often_one_taps(closer: Door) -> None:
    for _ in range(3):
        assert tap(closer, "open").status == 303
    for _ in range(3):
        shown = after(closer, tap(closer, "sent"))
        assert "Claire Rivière : relance notée comme envoyée." in shown
        assert "Rien à relancer pour le moment." in shown
        assert "Fait aujourd’hui Claire Rivière envoyée à 10 h 00" in shown
    (lead,) = closer.deployment.rows("SELECT * FROM ponctuel.leads")
    assert lead["followups"] == 1
    assert followup(closer)["settled_by"] == "closer:U1"


UNDO = "Je ne l’ai pas envoyée"


def test_one_tap_takes_back_that_it_was_sent(closer: Door) -> None:
    shown = after(closer, tap(closer, "sent"))
    assert shown.count(UNDO) == 1
    for _ in range(2):
        shown = after(closer, tap(closer, "undo"))
        assert "relance remise dans la liste, elle ne compte plus comme envoyée." in shown
        assert "Claire Rivière À faire" in shown
    assert state(closer) == "proposed"
    (lead,) = closer.deployment.rows("SELECT * FROM ponctuel.leads")
    assert (lead["followups"], lead["last_followup_at"]) == (0, None)
    assert UNDO in after(closer, tap(closer, "sent"))


def test_it_is_offered_for_ten_minutes_among_what_was_done_and_then_says_that_it_is_too_late(
    closer: Door,
) -> None:
    tap(closer, "sent")
    assert words(closer.outside("GET", path())).count(UNDO) == 1
    closer.deployment.database.advance(timedelta(minutes=11))
    assert UNDO not in words(closer.outside("GET", path()))
    shown = after(closer, tap(closer, "undo"))
    assert "trop tard pour l’annuler : la relance reste notée comme envoyée." in shown
    assert state(closer) == "confirmed"


def test_where_the_cadence_has_gone_on_it_cannot_be_taken_back(closer: Door) -> None:
    tap(closer, "sent")
    lead_rows.proposal(closer.deployment, number=2)
    assert "trop tard" in after(closer, tap(closer, "undo"))
    assert state(closer) == "confirmed"


def test_what_was_skipped_is_not_taken_back(closer: Door) -> None:
    after(closer, tap(closer, "skip:not_now"))
    shown = after(closer, tap(closer, "undo"))
    assert UNDO not in shown
    assert state(closer) == "skipped"


def test_two_telephones_at_the_same_moment_count_it_once(closer: Door) -> None:
    together = threading.Barrier(4)

    def at_once(_: int) -> int:
        together.wait(10)
        return tap(closer, "sent").status

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(at_once, range(4))) == [303] * 4
    (lead,) = closer.deployment.rows("SELECT * FROM ponctuel.leads")
    assert lead["followups"] == 1


def test_it_may_be_said_to_be_sent_without_having_been_opened_here(closer: Door) -> None:
    tap(closer, "sent")
    assert state(closer) == "confirmed"


@pytest.mark.parametrize("reason", SKIPPED)
def test_it_is_skipped_for_a_reason(closer: Door, reason: str) -> None:
    assert reason in closer.outside("GET", path()).body.decode()
    shown = after(closer, tap(closer, f"skip:{reason}"))
    assert "Claire Rivière : relance passée (" in shown
    assert "Rien à relancer" in shown
    found = followup(closer)
    assert (found["state"], found["reason"]) == ("skipped", reason)
    after(closer, tap(closer, "sent"))  # too late: the first answer stands
    assert state(closer) == "skipped"


def test_a_lead_that_answered_in_the_meantime_is_not_opened_and_it_says_why(closer: Door) -> None:
    closer.outside("GET", path())
    closer.deployment.execute("UPDATE ponctuel.leads SET replied_at = ponctuel.clock()")
    reply = tap(closer, "open")
    assert "wa.me" not in reply.headers["location"]
    shown = after(closer, reply)
    assert "Claire Rivière : cette relance ne doit plus partir (ce lead a répondu)." in shown
    assert state(closer) == "proposed"


@pytest.mark.parametrize(
    "ends",
    [
        "UPDATE ponctuel.leads SET replied_at = ponctuel.clock()",
        "UPDATE ponctuel.leads SET status = 'won'",
        "UPDATE ponctuel.lead_followups SET expires_at = ponctuel.clock()",
        "UPDATE ponctuel.lead_followups SET state = 'cancelled', reason = 'replied', "
        "settled_at = ponctuel.clock(), settled_by = 'reply'",
        "UPDATE ponctuel.lead_followups SET state = 'expired', settled_at = ponctuel.clock()",
    ],
)
def test_what_was_opened_before_it_was_withdrawn_can_still_be_said_to_be_sent(
    closer: Door, ends: str
) -> None:
    assert "Ouvertes, puis retirées" not in words(closer.outside("GET", path()))
    tap(closer, "open")
    closer.deployment.execute(ends)
    shown = words(closer.outside("GET", path()))
    assert "Rien à relancer" in shown
    assert "Ouvertes, puis retirées" in shown
    shown = after(closer, tap(closer, "sent"))
    assert "relance notée comme envoyée" in shown
    assert "Ouvertes, puis retirées" not in shown
    (lead,) = closer.deployment.rows("SELECT * FROM ponctuel.leads")
    assert lead["followups"] == 1


def test_what_was_withdrawn_unopened_or_long_ago_is_not_asked_about(closer: Door) -> None:
    withdraw = (
        "UPDATE ponctuel.lead_followups SET state = 'cancelled', reason = 'won', "
        "settled_at = ponctuel.clock()"
    )
    closer.deployment.execute(withdraw)
    assert "puis retirées" not in words(closer.outside("GET", path()))
    closer.deployment.execute(f"{withdraw}, opened_at = ponctuel.clock()")
    assert "puis retirées" in words(closer.outside("GET", path()))
    closer.deployment.database.advance(timedelta(days=3, minutes=1))
    assert "puis retirées" not in words(closer.outside("GET", path()))


@pytest.mark.parametrize(
    ("act", "number"),
    [
        ("", 1), ("delete", 1), ("skip", 1), ("skip:because", 1), ("open:x", ""), ("sent", "x"),
        ("sent", "-1"), ("sent", "1 OR 1=1"), ("sent", "9" * 30), ("sent", ""),
    ],
)  # fmt: skip
def test_what_the_page_does_not_offer_is_400_and_changes_nothing(
    closer: Door, act: str, number: Any
) -> None:
    before = everything(closer)
    reply = tap(closer, act, number)
    assert reply.status == 400
    assert "Ouvrez de nouveau le lien" in words(reply)
    assert everything(closer) == before


def test_a_link_does_nothing_to_other_people_s_leads(closer: Door) -> None:
    lead_rows.user(closer.deployment, "U2", name="Marc")
    lead_rows.lead(closer.deployment, "L2", closer_id="U2", name="Zoé Blanc")
    lead_rows.proposal(closer.deployment, "L2", closer_id="U2")
    assert "Zoé" not in words(closer.outside("GET", path()))
    for act in ("open", "sent", "skip:opted_out"):
        shown = after(closer, tap(closer, act, 2))
        assert "Cette relance n’est pas ou plus dans votre liste." in shown
        assert "Zoé" not in shown
    assert state(closer, 2) == "proposed"
    assert closer.deployment.rows("SELECT * FROM ponctuel.suppressions") == []


def test_two_businesses_with_the_same_ids_do_not_meet(closer: Door) -> None:
    lead_rows.open_business(closer.deployment, "B2")
    lead_rows.lead(closer.deployment, business_id="B2", name="Claire de B2")
    other = lead_rows.proposal(closer.deployment, business_id="B2", content="Texte de B2")
    assert "B2" not in words(closer.outside("GET", path()))
    tap(closer, "sent", other)
    assert state(closer, other) == "proposed"
    with closer.deployment.database.begin() as connection:
        closer_link.revoke(connection, "B1", "U1", "test")
    assert closer.outside("GET", path()).status == 404
    shown = words(closer.outside("GET", path(business="B2")))
    assert "Claire de B2" in shown
    assert "Texte de B2" in shown
    tap(closer, "sent", other, path(business="B2"))
    assert (state(closer), state(closer, other)) == ("proposed", "confirmed")
    assert "Fait aujourd’hui" not in words(closer.outside("GET", path(issued=NOW + timedelta(1))))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p[:-1] + ("A" if p[-1] != "A" else "B"),
        lambda p: p[:-1],
        lambda p: p + "x",
        lambda _: path(PONCTUEL_STAGE="prod"),
        lambda _: path(LINK_SECRET=PREVIOUS),
        lambda _: "/closer/x",
        lambda _: "/closer/%C3%A9%00",
        lambda _: "/closer/" + "x" * 5000,
        lambda p: p.replace("/closer/", "/closer/1."),
    ],
)
def test_a_forged_link_is_400_says_what_to_do_and_is_remembered(closer: Door, spoil: Any) -> None:
    for method in ("GET", "POST"):
        body = urlencode({"id": 1, "act": "sent"}) if method == "POST" else None
        reply = closer.outside(method, spoil(path()), headers=FORM, body=body)
        assert reply.status == 400
        shown = words(reply)
        assert "demandez-en un nouveau à votre responsable" in shown
        assert "Sophie" not in shown
        assert "Claire" not in shown
    assert state(closer) == "proposed"
    refused = closer.deployment.rows("SELECT * FROM ponctuel.refused_calls")
    assert [(row["path"], row["code"]) for row in refused] == [("/closer/{token}", "link")] * 2


def test_who_tries_tokens_waits_and_a_good_link_never_does(
    closer: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRON_SECRET", CRON_SECRET)
    waited: list[float] = []
    monkeypatch.setattr(refusals.time, "sleep", waited.append)
    for _ in range(refusals.FREE_FAILURES + 3):
        closer.outside("GET", "/closer/x")
    assert all(seconds == 0 for seconds in waited[: refusals.FREE_FAILURES + 1])
    assert waited[-1] > 0.5
    del waited[:]
    assert closer.outside("GET", path()).status == 200
    assert waited == []


def test_an_unsubscribe_token_is_no_link_to_this_page(closer: Door) -> None:
    from chalicelib import signed_links

    content = ["B1", "U1", 0, 4_000_000_000_000]
    token = signed_links.sign("unsubscribe", content, stage="local", secrets=[SECRET])
    assert closer.outside("GET", f"/closer/{token}").status == 400


def gone(closer: Door, where: str | None = None) -> str:
    for method, body in (("POST", urlencode({"id": 1, "act": "sent"})), ("GET", None)):
        reply = closer.outside(method, where or path(), headers=FORM, body=body)
        assert reply.status == 404
    assert state(closer) == "proposed"
    shown = words(reply)
    assert "Ce lien ne fonctionne plus" in shown
    assert not re.search("Sophie|Claire|Atelier|B1", shown)
    return shown


def test_a_link_ends_by_itself(closer: Door) -> None:
    closer.deployment.database.advance(timedelta(days=7, minutes=-2))
    assert closer.outside("GET", path()).status == 200
    closer.deployment.database.advance(timedelta(minutes=2))
    assert "Ce lien a expiré. Ouvrez celui du dernier e-mail reçu" in gone(closer)
    assert closer.outside("GET", path(CLOSER_LINK_DAYS="8")).status == 200


def test_links_that_were_taken_back_are_void_and_the_next_one_is_good(closer: Door) -> None:
    with closer.deployment.database.begin() as connection:
        at = closer_link.revoke(connection, "B1", "U1", "test")
    assert "Ce lien a été retiré" in gone(closer)
    assert "Ce lien a été retiré" in gone(closer, path(issued=at))
    assert closer.outside("GET", path(issued=at + timedelta(milliseconds=2))).status == 200
    assert closer.outside("GET", path("U0")).status == 200


@pytest.mark.parametrize(
    "change", ["UPDATE ponctuel.users SET active = false", "DELETE FROM ponctuel.users"]
)
def test_the_link_ends_with_the_account(closer: Door, change: str) -> None:
    closer.deployment.execute(change)
    assert "compte actif" in gone(closer)


def test_links_of_before_and_after_a_change_of_secret_both_work(
    closer: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINK_SECRET_PREVIOUS", PREVIOUS)
    for secret in (SECRET, PREVIOUS):
        assert closer.outside("GET", path(LINK_SECRET=secret)).status == 200


@pytest.mark.parametrize("secret", [None, "too-short"])
def test_without_a_usable_secret_it_is_503_and_tells_no_setting(
    closer: Door, secret: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = path()
    held = {"LINK_SECRET": secret} if secret else {}
    monkeypatch.setattr(settings_module, "_current", Settings.from_mapping(held))
    reply = closer.outside("GET", link)
    assert reply.status == 503
    assert b"SECRET" not in reply.body


def test_while_the_database_is_away_the_page_asks_to_try_again(
    closer: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody:canary@127.0.0.1:{port}/nothing")
    for reply in (closer.outside("GET", path()), tap(closer, "sent")):
        assert reply.status == 500
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert "Réessayez dans quelques minutes" in words(reply)
        assert b"canary" not in reply.body


def test_below_the_stage_s_name_the_answer_to_a_tap_leads_back_to_the_page(closer: Door) -> None:
    door = closer.under_stage()
    reply = tap(door, "sent", where="/api" + path())
    assert reply.headers["location"] == "?page=1&id=1#resultat"
    assert 'id="resultat"' in door.outside("GET", f"/api{path()}?page=1&id=1").body.decode()


def test_no_token_and_nothing_of_a_lead_is_logged(
    closer: Door, capfd: pytest.CaptureFixture[str]
) -> None:
    link = path()
    for act in ("open", "sent", "nothing"):
        tap(closer, act)
    closer.outside("GET", link)
    closer.outside("GET", f"{link}x")
    logged = capfd.readouterr().err
    assert "closer_acted" in logged
    assert link.split(".")[2] not in logged
    assert not re.search("Claire|Sophie|6 ?39 ?98|réfléchir", logged)


def many(door: Door, count: int) -> None:
    """Of U1, besides the first; the one due longest has the highest number."""
    door.deployment.execute(
        "INSERT INTO ponctuel.leads (business_id, id, name, phone, closer_id, stage_since, "
        "created_at) SELECT 'B1', 'M' || n, 'Lead ' || n, '0639980001', 'U1', :since, :since "
        "FROM generate_series(1, :count) n",
        since=lead_rows.STAGE_SINCE,
        count=count,
    )
    door.deployment.execute(
        "INSERT INTO ponctuel.lead_followups (business_id, lead_id, cycle, number, mode, state, "
        "closer_id, phone, content, due_at, proposed_at, expires_at) SELECT 'B1', 'M' || n, "
        ":cycle, 1, 'assisted', 'proposed', 'U1', '+33639980001', 'Bonjour ' || n, "
        "CAST(:now AS timestamptz) - make_interval(days => 2, mins => n), :now, "
        "CAST(:now AS timestamptz) + interval '3 days' FROM generate_series(1, :count) n",
        cycle=lead_rows.CYCLE,
        now=NOW,
        count=count,
    )


def names(reply: Reply) -> list[str]:
    return re.findall(r"<h2><bdi>(.*?)</bdi>", reply.body.decode())


def test_the_oldest_promise_comes_first_twenty_a_page(closer: Door) -> None:
    many(closer, 44)
    first = closer.outside("GET", path())
    assert names(first)[:2] == ["Lead 44", "Lead 43"]
    assert "45 relances à faire" in words(first)
    assert "Page 1 sur 3" in words(first)
    last = closer.outside("GET", path() + "?page=3")
    assert names(last)[-1] == "Claire Rivière"
    assert names(closer.outside("GET", path() + "?page=9999")) == names(last)
    seen = [n for page in "123" for n in names(closer.outside("GET", f"{path()}?page={page}"))]
    assert len(seen) == len(set(seen)) == 45
    reply = tap(closer, "sent", where=path() + "?page=2")
    assert "Page 2 sur 3" in after(closer, reply)


def test_of_five_hundred_none_is_out_of_reach_and_the_page_stays_small(closer: Door) -> None:
    many(closer, 500)
    reply = closer.outside("GET", path())
    assert "501 relances à faire" in words(reply)
    assert "Page 1 sur 26" in words(reply)
    assert len(reply.body) < 150_000
    assert names(closer.outside("GET", path() + "?page=26")) == ["Claire Rivière"]
    assert len(names(closer.outside("GET", path() + "?page=25"))) == 20


def test_one_proposal_that_whatsapp_cannot_take_does_not_hide_the_others(closer: Door) -> None:
    lead_rows.lead(closer.deployment, "L2", name="Sans numéro")
    lead_rows.proposal(closer.deployment, "L2", phone=None)
    lead_rows.lead(closer.deployment, "L3", name="Trop long")
    lead_rows.proposal(closer.deployment, "L3", content="é" * 5000)
    reply = closer.outside("GET", path())
    assert set(names(reply)) == {"Claire Rivière", "Sans numéro", "Trop long"}
    assert words(reply).count("WhatsApp ne prend pas ce numéro ou ce texte") == 2
    shown = after(closer, tap(closer, "open", 3))
    assert "Trop long : cette relance ne doit plus partir (WhatsApp ne prend pas" in shown


class Page(HTMLParser):
    """Tags with their attributes; fails on what is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


HOSTILE = [
    '<script>alert(1)</script>"><img src=x onerror=alert(1)>',
    "</style></title></textarea><style>*{display:none}</style>",
    "{{ 7 * 7 }}{% raw %}&amp;'",
    "\u202egnp.exe\u2066 \u05d0\u05d1\u05d2 \u0627\u0644\u0645\u062d\u0644",
    "é" * 5000,
    "a b " * 1250,
    "\x01\x1b[31m\r\nSet-Cookie: x=1",
    "🧑‍🔧 Zoë 👍🏽 #1 & co",
    " ",
]
ALLOWED = set(
    "html head meta title style body main header strong h1 h2 p bdi ol ul li div span a blockquote "
    "details summary form input button section nav".split()
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_lead_is_called_can_do_anything_to_the_page(closer: Door, text: str) -> None:
    closer.deployment.execute("UPDATE ponctuel.leads SET name = :text, stage = :text", text=text)
    closer.deployment.execute("UPDATE ponctuel.users SET name = :text", text=text)
    closer.deployment.execute(
        "UPDATE ponctuel.lead_followups SET content = :text, cycle = :cycle",
        text=text,
        cycle=text + lead_rows.CYCLE.removeprefix("nouveau"),
    )
    listed = closer.outside("GET", path())
    assert names(listed)
    tap(closer, "sent")
    done = closer.outside("GET", path() + "?id=1")
    assert "relance notée comme envoyée" in words(done)
    for reply in (listed, done):
        assert reply.status == 200
        html = reply.body.decode()
        page = Page(html)
        assert {tag for tag, _ in page.tags} <= ALLOWED
        assert not {name for _, found in page.tags for name in found} & {"style", "src", "onerror"}
        for _, found in page.tags:
            assert re.match(r"tel:\+|\?page=", found.get("href") or "?page=")
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", html)
        assert len(html) < 30_000
        assert "49" not in words(reply).replace("a b", "")


def test_emoji_marks_and_line_breaks_reach_whatsapp_as_they_were_written(closer: Door) -> None:
    text = "Bonjour 🧑‍🔧,\n\nOn en parle ? #devis & co. 100 %\n– Sophie"
    closer.deployment.execute("UPDATE ponctuel.lead_followups SET content = :text", text=text)
    shown = words(closer.outside("GET", path()))
    assert "On en parle ? #devis & co. 100 %" in shown
    location = tap(closer, "open").headers["location"]
    assert unquote(location.partition("?text=")[2]) == text


def test_the_page_allows_its_own_style_and_whatsapp_and_nothing_else(closer: Door) -> None:
    reply = closer.outside("GET", path())
    (style,) = re.findall("(?s)<style>(.*?)</style>", reply.body.decode())
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert reply.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self' https://wa.me "
        "https://*.whatsapp.com; base-uri 'none'; frame-ancestors 'none'"
    )
    for answer in (reply, tap(closer, "open"), tap(closer, "sent")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in answer.headers
    assert "noindex" in reply.headers["x-robots-tag"]


def test_everything_to_tap_has_a_name_that_begins_with_what_is_written_on_it(closer: Door) -> None:
    html = closer.outside("GET", path()).body.decode()
    found = re.findall(r'<(?:button|summary)[^>]*aria-label="([^"]*)"[^>]*>([^<]*)<', html)
    assert len(found) == 3 + len(SKIPPED)
    for name, written in found:
        assert name.startswith(written)
        assert name.endswith("Claire Rivière")
    assert html.count("<button") + html.count("<summary") == len(found)


def test_pages_are_written_in_french_typography(closer: Door) -> None:
    closer.deployment.execute("UPDATE ponctuel.lead_followups SET content = 'Bonjour'")
    replies = [closer.outside("GET", path()), closer.outside("GET", path() + "x")]
    tap(closer, "skip:wrong_number")
    replies += [closer.outside("GET", path() + "?id=1"), closer.outside("GET", path() + "?id=99")]
    for reply in replies:
        visible = unescape(re.sub("(?s)<style>.*?</style>|<[^>]+>", "\n", reply.body.decode()))
        assert not re.search(" [;!?»:]|« |[^\\W\\d_]'[^\\W\\d_]", visible)
        assert not re.search("None|Undefined|{{|{%", visible)


def test_an_owner_sees_the_leads_that_nobody_follows(closer: Door) -> None:
    lead_rows.lead(closer.deployment, "L2", closer_id=None, name="Sans closer")
    lead_rows.proposal(closer.deployment, "L2", closer_id=None)
    assert names(closer.outside("GET", path("U0"))) == ["Sans closer"]
    tap(closer, "sent", 2, path("U0"))
    assert followup(closer, 2)["settled_by"] == "closer:U0"


def test_what_was_done_yesterday_is_not_of_today(closer: Door) -> None:
    tap(closer, "sent")
    closer.deployment.database.advance(timedelta(hours=13, minutes=59))
    assert "Fait aujourd’hui" in words(closer.outside("GET", path()))
    closer.deployment.database.advance(timedelta(minutes=2))  # 00:01 in Paris
    assert "Fait aujourd’hui" not in words(closer.outside("GET", path()))


def test_times_are_those_of_the_reader_s_zone(closer: Door) -> None:
    closer.deployment.execute("UPDATE ponctuel.users SET zone = 'Indian/Reunion' WHERE id = 'U1'")
    assert "depuis le 9 mars 2026 à 13 h 00" in words(closer.outside("GET", path()))
    closer.deployment.execute("UPDATE ponctuel.users SET zone = 'Nulle/Part' WHERE id = 'U1'")
    assert "depuis le 9 mars 2026 à 10 h 00" in words(closer.outside("GET", path()))
