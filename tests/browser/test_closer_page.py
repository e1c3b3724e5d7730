"""The closer's page as a person uses it, on a telephone and by keyboard. Screenshots are kept in
the folder that PONCTUEL_SCREENSHOTS names, or in the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.domain.leads import closer_link
from chalicelib.outbox.unsubscribe import Subscription
from chalicelib.outbox.unsubscribe import link as unsubscribe_link
from chalicelib.outbox.unsubscribe import sign as unsubscribe_sign
from chalicelib.settings import settings
from tests import lead_rows
from tests.browser.audit import findings
from tests.browser.conftest import PHONE, SECRET, WhatsApp
from tests.harness import NOW, Deployment

pytestmark = pytest.mark.slow

LONG = (
    "Bonjour Karim,\n\nSuite à notre échange sur la rénovation de votre cuisine, avez-vous pu lire "
    "le devis ? Je reste disponible cette semaine pour en parler.\n\nBonne journée,\nSophie"
)
SIZES = [(320, 568), (375, 812), (430, 932), (1280, 800)]
HOSTILE = [
    "x" * 5000,
    "\u202e\u2066txt.exe " * 300,
    "<b>" * 100 + "🧑‍🔧" * 200,
    "Société-à-responsabilité-limitée" * 20,
]


@pytest.fixture
def closer(shared: Deployment) -> Deployment:
    """Three leads of U1: two to write to, one opened."""
    shared.reset()
    lead_rows.open_business(shared)
    for number in (1, 2, 3):
        lead_rows.insert(shared, "lead_cadences", {
            "business_id": "B1", "stage": "nouveau", "number": number, "delay_hours": 24,
        })  # fmt: skip
    lead_rows.lead(shared)
    lead_rows.proposal(shared)
    lead_rows.lead(shared, "L2", name="Karim Benali", phone="06 39 98 00 02")
    lead_rows.proposal(shared, "L2", number=2, content=LONG, phone="+33639980002")
    lead_rows.lead(shared, "L3", name="Menuiserie Le Goff", phone="0692 00 00 00")
    lead_rows.proposal(shared, "L3", state="opened", opened_at=NOW, phone="+262692123456", number=3)
    return shared


def address(user: str = "U1") -> str:
    found = closer_link.link_for(settings(), "B1", user, NOW)
    assert found is not None
    return found


@contextmanager
def screen(chromium: Any, size: tuple[int, int] = (375, 812), **options: Any) -> Iterator[Any]:
    width, height = size
    phone = width < 500
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        locale="fr-FR",
        is_mobile=phone,
        has_touch=phone,
        device_scale_factor=2 if phone else 1,
        ignore_https_errors=True,
        **options,
    )
    page = context.new_page()
    page.set_default_timeout(5_000)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    yield page
    context.close()
    assert [text for text in troubles if "status of 404" not in text] == []


def shot(page: Any, folder: Path, name: str) -> None:
    kept = Path(os.environ.get("PONCTUEL_SCREENSHOTS", folder))
    kept.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=kept / f"{name}.png", full_page=True)


def card(page: Any, name: str) -> Any:
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name))


def states(deployment: Deployment) -> list[str]:
    rows = deployment.rows("SELECT state FROM ponctuel.lead_followups ORDER BY id")
    return [row["state"] for row in rows]


@pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])
def test_a_closer_taps_writes_in_whatsapp_comes_back_and_says_that_it_was_sent(
    closer: Deployment, chromium: Any, whatsapp: WhatsApp, script: bool
) -> None:
    whatsapp.asked.clear()
    with screen(chromium, java_script_enabled=script) as page:
        page.goto(address())
        assert page.get_by_role("heading", level=2).all_inner_texts() == [
            "Claire Rivière", "Karim Benali", "Menuiserie Le Goff",
        ]  # fmt: skip
        card(page, "Karim Benali").get_by_role("button", name="Ouvrir WhatsApp").tap()
        page.wait_for_url("https://api.whatsapp.com/**")
        assert page.title() == "WhatsApp"
        host, where = whatsapp.asked[0]
        assert (host, urlsplit(where).path) == ("wa.me", "/33639980002")
        assert parse_qs(urlsplit(where).query) == {"text": [LONG]}
        assert states(closer) == ["proposed", "opened", "opened"]

        page.go_back()
        karim = card(page, "Karim Benali")
        assert karim.get_by_text("à confirmer").is_visible()
        karim.get_by_role("button", name="C’est envoyé").tap()
        page.get_by_role("status").get_by_text("relance notée comme envoyée").wait_for()
        assert states(closer) == ["proposed", "confirmed", "opened"]
        assert card(page, "Karim Benali").count() == 0
        assert page.get_by_role("region", name="Fait aujourd’hui").get_by_text("Karim").is_visible()

        card(page, "Claire Rivière").get_by_role("button", name="Ouvrir WhatsApp").tap()
        page.wait_for_url("https://api.whatsapp.com/**")
        assert "#" not in page.url  # the page's own place is nothing to WhatsApp
        page.go_back()
        page.reload()  # asks nothing, repeats nothing
        page.go_back()
        page.go_forward()
    (lead,) = closer.rows("SELECT followups FROM ponctuel.leads WHERE id = 'L2'")
    assert lead["followups"] == 1
    assert len(whatsapp.asked) == 4


def test_two_quick_taps_are_one(closer: Deployment, chromium: Any) -> None:
    with screen(chromium) as page:
        page.goto(address())
        card(page, "Claire").get_by_role("button", name="C’est envoyé").dblclick()
        page.get_by_role("status").wait_for()
        assert states(closer) == ["confirmed", "proposed", "opened"]
    (lead,) = closer.rows("SELECT followups FROM ponctuel.leads WHERE id = 'L1'")
    assert lead["followups"] == 1


def test_a_slip_is_taken_back_by_one_tap_or_two(
    closer: Deployment, chromium: Any, tmp_path: Path
) -> None:
    with screen(chromium) as page:
        page.goto(address())
        card(page, "Claire").get_by_role("button", name="C’est envoyé").tap()
        page.get_by_role("status").get_by_text("notée comme envoyée").wait_for()
        shot(page, tmp_path, "undo-offered")
        page.get_by_role("button", name="Je ne l’ai pas envoyée : Claire Rivière").dblclick()
        page.get_by_role("status").get_by_text("remise dans la liste").wait_for()
        assert card(page, "Claire").get_by_text("À faire").is_visible()
        assert findings(page) == []
        shot(page, tmp_path, "undone")
        page.reload()
        assert states(closer) == ["proposed", "proposed", "opened"]
    (lead,) = closer.rows("SELECT followups FROM ponctuel.leads WHERE id = 'L1'")
    assert lead["followups"] == 0


def focused(page: Any) -> str:
    name: str = page.evaluate(
        "() => { const at = document.activeElement;"
        " return at.getAttribute('aria-label') || at.textContent.trim(); }"
    )
    return plain(name)


def plain(text: str) -> str:
    """With plain spaces: French typography has others."""
    return text.replace("\xa0", " ").replace("\u202f", " ")


def test_everything_can_be_done_by_keyboard_in_the_order_in_which_it_is_read(
    closer: Deployment, chromium: Any
) -> None:
    with screen(chromium, (1280, 800)) as page:
        page.goto(address())
        reached = []
        for _ in range(13):
            page.keyboard.press("Tab")
            reached.append(focused(page).split(" : ")[0])
            outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineWidth")
            assert outline == "3px"
        assert reached[:4] == [
            "Appeler Claire Rivière au 06 39 98 00 01", "Ouvrir WhatsApp", "C’est envoyé", "Passer",
        ]  # fmt: skip
        assert reached[4:9] == [
            "Appeler Karim Benali au 06 39 98 00 02", "Tout le texte", "Ouvrir WhatsApp",
            "C’est envoyé", "Passer",
        ]  # fmt: skip
        assert reached[9:] == [
            "Appeler Menuiserie Le Goff au 0692 12 34 56", "C’est envoyé", "Rouvrir WhatsApp",
            "Passer",
        ]  # fmt: skip


def test_a_follow_up_is_skipped_by_keyboard_and_the_result_is_read_out(
    closer: Deployment, chromium: Any
) -> None:
    with screen(chromium, (1280, 800)) as page:
        page.goto(address())
        while focused(page) != "Passer : Claire Rivière":
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert focused(page) == "A déjà répondu : Claire Rivière"
        page.keyboard.press("Enter")
        page.get_by_role("status").wait_for()
        assert focused(page) == "Claire Rivière : relance passée (a déjà répondu)."
        page.keyboard.press("Tab")
        assert focused(page) == "Appeler Karim Benali au 06 39 98 00 02"
    assert states(closer) == ["skipped", "proposed", "opened"]


def test_a_screen_reader_is_told_what_each_thing_is(closer: Deployment, chromium: Any) -> None:
    with screen(chromium) as page:
        page.goto(address())
        told = page.get_by_role("main").aria_snapshot()
        for line in (
            'heading "Leads à relancer" [level=1]',
            'heading "Claire Rivière" [level=2]',
            'button "Ouvrir WhatsApp : Claire Rivière"',
            'button "C’est envoyé : Claire Rivière"',
            'link "Appeler Claire Rivière au 06 39 98 00 01"',
        ):
            assert line in plain(told)
        assert told.count("- listitem:") == 3


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
def test_every_state_of_the_page_is_readable_and_large_enough_to_tap(
    closer: Deployment, chromium: Any, tmp_path: Path, size: tuple[int, int], colours: Any
) -> None:
    with screen(chromium, size, color_scheme=colours) as page:

        def look(name: str) -> None:
            assert findings(page) == []
            shot(page, tmp_path, f"{name}-{size[0]}-{colours}")

        page.goto(address())
        look("list")
        card(page, "Karim").get_by_text("Tout le texte").click()
        card(page, "Karim").get_by_text("Passer", exact=True).click()
        look("unfolded")
        card(page, "Claire").get_by_role("button", name="C’est envoyé").click()
        page.get_by_role("status").wait_for()
        look("sent")
        closer.execute("UPDATE ponctuel.leads SET replied_at = ponctuel.clock() WHERE id = 'L2'")
        card(page, "Karim").get_by_role("button", name="Ouvrir WhatsApp").click()
        page.get_by_text("ne doit plus partir").wait_for()
        look("answered")
        closer.execute(
            "UPDATE ponctuel.lead_followups SET opened_at = ponctuel.clock(), state = 'opened' "
            "WHERE lead_id = 'L2'"
        )
        page.reload()
        look("withdrawn")
        withdrawn = page.get_by_role("region", name="Ouvertes, puis retirées")
        withdrawn.get_by_role("button", name="C’est envoyé").click()
        withdrawn.wait_for(state="detached")
        card(page, "Le Goff").get_by_role("button", name="C’est envoyé").click()
        page.get_by_text("Rien à relancer").wait_for()
        look("empty")
        with closer.database.begin() as connection:
            closer_link.revoke(connection, "B1", "U1", "test")
        page.goto(address())
        page.get_by_text("Ce lien ne fonctionne plus").wait_for()
        look("revoked")


def test_a_long_list_is_walked_through_page_by_page(
    closer: Deployment, chromium: Any, tmp_path: Path
) -> None:
    for number in range(10, 52):
        lead_rows.lead(closer, f"L{number}", name=f"Lead {number}")
        lead_rows.proposal(closer, f"L{number}")
    with screen(chromium) as page:
        page.goto(address())
        pages = page.get_by_role("navigation", name="Pages de la liste")
        pages.get_by_role("link", name="Suivante").tap()
        page.wait_for_url("**/*page=2")
        assert pages.get_by_text("Page 2 sur 3").is_visible()
        assert findings(page) == []
        shot(page, tmp_path, "pages")
        page.get_by_role("button", name="C’est envoyé").first.tap()
        page.get_by_role("status").wait_for()
        assert pages.get_by_text("Page 2 sur 3").is_visible()
        pages.get_by_role("link", name="Précédente").tap()
        page.wait_for_url("**/*page=1")
        assert pages.get_by_role("link").all_inner_texts() == ["Suivante"]


@pytest.mark.parametrize("text", HOSTILE, ids=["long-word", "bidi", "tags", "hyphens"])
def test_nothing_that_a_lead_is_called_breaks_the_page(
    closer: Deployment, chromium: Any, tmp_path: Path, text: str
) -> None:
    closer.execute("UPDATE ponctuel.leads SET name = :text WHERE id <> 'L3'", text=text)
    closer.execute("UPDATE ponctuel.lead_followups SET content = :text", text=text[:1500])
    closer.execute("UPDATE ponctuel.users SET name = :text", text=text)
    with screen(chromium, (320, 568)) as page:
        page.goto(address())
        assert page.get_by_role("heading", level=2).count() == 3
        page.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert findings(page) == []
        shot(page, tmp_path, f"hostile-{HOSTILE.index(text)}")
        page.get_by_role("button", name="C’est envoyé").first.tap()
        page.get_by_role("status").wait_for()
        assert findings(page) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_unsubscribe_page_is_readable_too(
    closer: Deployment, chromium: Any, tmp_path: Path, colours: Any
) -> None:
    about = Subscription("B1", "C1", "billing.quote_followup", 1)
    token = unsubscribe_sign(about, stage="local", secrets=[SECRET])
    closer.execute("ALTER TABLE ponctuel.messages ALTER COLUMN id RESTART")
    closer.execute(
        "INSERT INTO ponctuel.messages (kind, subject, business_id, person, recipient, channel, "
        "state, planned_at, not_before, expires_at) VALUES ('billing.quote_followup', 'D1', 'B1', "
        "'C1', 'c@client.example', 'email', 'planned', ponctuel.clock(), ponctuel.clock(), "
        "ponctuel.clock())"
    )
    with screen(chromium, (PHONE["width"], PHONE["height"]), color_scheme=colours) as page:
        page.goto(unsubscribe_link(settings().public_url or "", token))
        page.get_by_role("button").first.wait_for()
        assert findings(page) == []
        shot(page, tmp_path, f"unsubscribe-{colours}")
