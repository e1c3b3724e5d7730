"""What the letters say, and what they must never say."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape
from itertools import product
from typing import Any

import pytest

from chalicelib.mailboxes.standing import GRAVITY
from chalicelib.outbox.rendering import TEMPLATES, Rendered, render, sample

MAIL = sorted(folder.name for folder in (TEMPLATES / "mail").iterdir() if folder.is_dir())
TONES = ("rappel", "ferme", "mise_en_demeure")
LEGAL = {"indemnity": "40.00", "rate": "14.76", "rate_since": "2024-07-01"}
# Words that would claim something from a debtor for being late.
CLAIMS = ("pénalité", "indemnité", "intérêt", "L441", "D441", "frais", "40,00", "14,76")
AMOUNT = re.compile("[0-9\u202f]+,[0-9]+\u00a0[^\\s.,)<]+")


def document(number: str = "F-1042", **changes: Any) -> dict[str, Any]:
    remaining = changes.get("remaining", "1234.56")
    return {
        "number": number,
        "issued_on": "2026-01-26",
        "due_on": "2026-02-26",
        "total": remaining,
        "remaining": remaining,
        "currency": "EUR",
        "days_late": 12,
        "partly_paid": False,
    } | changes


LATE = document()
LONG_LATE = document("F-0991", remaining="80.00", due_on="2026-01-05", days_late=64)
PARTLY = document("F-1043", total="500.00", remaining="234.00", days_late=1, partly_paid=True)
NOT_DUE = document("F-1060", remaining="99.00", due_on="2026-03-20", days_late=0)
IN_DOLLARS = document("F-1055", remaining="310.00", currency="USD")


def invoices(*documents: dict[str, Any], **changes: Any) -> dict[str, Any]:
    totals: dict[str, Decimal] = {}
    for each in documents:
        sum_so_far = totals.get(each["currency"], Decimal(0))
        totals[each["currency"]] = sum_so_far + Decimal(each["remaining"])
    return (
        sample("invoice_followup")
        | {
            "documents": list(documents),
            "totals": [{"currency": c, "amount": str(total)} for c, total in totals.items()],
        }
        | changes
    )


def followup(*documents: dict[str, Any], **changes: Any) -> Rendered:
    return render("invoice_followup", invoices(*documents, **changes))


def quotes(*changes: dict[str, Any], **others: Any) -> Rendered:
    content = sample("quote_followup")
    content["documents"] = [content["documents"][0] | change for change in changes or ({},)]
    return render("quote_followup", content | others)


def words(part: str) -> str:
    """The text that a reader sees, on one line, HTML or not."""
    visible = re.sub(
        r"(?s)<!--.*?-->|<style>.*?</style>|<div style=.display:none.*?</div>", "", part
    )
    sentences = re.sub("<[^>]+>", "\n", re.sub("</?(strong|span)[^>]*>", "", visible))
    return re.sub("[ \n]+", " ", unescape(sentences))


LETTERS = {
    f"{tone}-{name}-{'professional' if legal else 'consumer'}-{level}": (
        "invoice_followup",
        invoices(*documents, tone=tone, legal=legal, level=level),
    )
    for tone, (name, documents), legal, level in product(
        TONES,
        {
            "one": [LATE],
            "partly": [PARTLY],
            "several": [LATE, LONG_LATE, PARTLY],
            "currencies": [LATE, IN_DOLLARS],
            "mixed": [LATE, NOT_DUE],
            "not_due": [NOT_DUE],
        }.items(),
        (LEGAL, None),
        (1, 3),
    )
} | {name: (name, sample(name)) for name in MAIL}
for _tone, _days, _count in product(TONES, (14, 1, 0, None), (1, 2)):
    _quote = sample("quote_followup")["documents"][0] | {"days_left": _days}
    if _days is None:
        _quote["valid_until"] = None
    LETTERS[f"quote-{_tone}-{_days}-{_count}"] = (
        "quote_followup",
        sample("quote_followup") | {"tone": _tone, "documents": [_quote] * _count},
    )
for _code, _issuer, _off in product(GRAVITY, ("Google", None), (True, False)):
    LETTERS[f"mailbox-{_code}-{_issuer}-{_off}"] = (
        "mailbox_trouble",
        sample("mailbox_trouble")
        | {"code": _code, "issuer": _issuer, "switched_off": _off, "synced_at": None},
    )
for _letter, _whole, _days in product(
    ("requested", "reminder", "cancelled", "final", "blocked"), (True, False), (0, 1, 7)
):
    _content = sample("account_deletion") | {"letter": _letter, "whole_business": _whole}
    _content |= {"days": _days, "mine": _days > 0, "reader": "Dominique Petit", "twice": True}
    if _days == 1:
        _content |= {"cancel_url": None, "name": None, "unshown": 3}
    LETTERS[f"deletion-{_letter}-{_whole}-{_days}"] = ("account_deletion", _content)
every_letter = pytest.mark.parametrize("letter", LETTERS.values(), ids=LETTERS.keys())
Letter = tuple[str, dict[str, Any]]


@pytest.mark.parametrize("template", MAIL)
def test_every_template_has_its_parts_and_a_sample(template: str) -> None:
    files = {file.name for file in (TEMPLATES / "mail" / template).iterdir()}

    assert {"body.txt", "body.html", "sample.json"} <= files


@every_letter
def test_a_letter_is_whole_and_its_typography_is_french(letter: Letter) -> None:
    rendered = render(*letter)

    for part in (rendered.subject, words(rendered.text), words(rendered.html)):
        assert not re.search("None|Undefined|{{|{%|<built-in", part)
        assert not re.search(" [;!?»%€]|« | :( |$)", part), "a plain space where none may break"
        assert not re.search(r"[^\W\d_]'[^\W\d_]", part), "a typewriter apostrophe"
        assert not re.search(r"[,;:.?!][,;.]|\( | \)| ,|\bde le\b|\bde les\b", part)
    assert not re.search("[^ \n]  +[^ ]", rendered.text), "two spaces between words"
    assert max(map(len, rendered.text.splitlines())) <= 100
    assert rendered.text.endswith("\n")
    assert "\n\n\n" not in rendered.text


@every_letter
def test_text_and_html_say_the_same(letter: Letter) -> None:
    rendered = render(*letter)
    text, html = words(rendered.text), words(rendered.html)

    assert set(AMOUNT.findall(text)) == set(AMOUNT.findall(html))
    # Each sentence of the text is one of the HTML: what is emphasised there is only set in bold.
    plain = re.sub(r"\s", "", html)
    for paragraph in rendered.text.split("\n\n"):
        if not paragraph.startswith(("  ", "----", "Pour régler")) and "\n---" not in paragraph:
            for sentence in re.split(r"(?<=[.?!]) |\n(?=À l’|Le |Atelier|Pon)", paragraph):
                assert re.sub(r"\s", "", sentence).split("https:")[0].rstrip(":") in plain, sentence


@every_letter
def test_html_suits_mail_clients(letter: Letter) -> None:
    html = render(*letter).html

    assert html.startswith("<!doctype html>")
    assert '<html lang="fr"' in html
    assert len(re.findall("<h1", html)) == 1
    assert re.search("<title>[^<]+</title>", html)
    assert re.search('<div style="display:none[^>]+>[^<]+</div>', html), "a preheader"
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "max-width:600px" in html
    assert not re.search(
        r"<(script|img|link|iframe|form|object|svg)|src=|url\(|@import|@font", html
    )
    layout = re.findall("<table(?! role=.presentation)", html)
    assert len(layout) == len(re.findall("<thead>", html)), "tables of data, and only they"
    for tag in ("table", "tr", "td", "th", "p", "span", "strong", "ul", "li"):
        assert len(re.findall(rf"<{tag}[ >]", html)) == html.count(f"</{tag}>"), tag
    assert len(html.encode()) < 20_000


@pytest.mark.parametrize(
    ("documents", "tone", "subject"),
    [
        ([LATE], "rappel", "Rappel : facture F-1042 de 1\u202f234,56 € échue depuis 12 jours"),
        ([PARTLY], "rappel", "Rappel : facture F-1043, solde de 234,00 € échu depuis 1 jour"),
        ([LATE, LONG_LATE], "rappel", "Rappel : 2 factures à régler, 1\u202f314,56 € au total"),
        ([LATE], "ferme", "Facture F-1042 impayée : 1\u202f234,56 €, 12 jours de retard"),
        ([PARTLY], "ferme", "Facture F-1043 : solde impayé de 234,00 €, 1 jour de retard"),
        (
            [LATE, IN_DOLLARS],
            "ferme",
            "2 factures impayées : 1\u202f234,56 € et 310,00 $US au total",
        ),
        (
            [LATE],
            "mise_en_demeure",
            "Mise en demeure : facture F-1042, 1\u202f234,56 € à régler au plus tard le"
            " 18 mars 2026",
        ),
        (
            [LATE, LONG_LATE, NOT_DUE],
            "mise_en_demeure",
            "Mise en demeure : 2 factures impayées, 1\u202f314,56 € à régler au plus tard le"
            " 18 mars 2026",
        ),
        ([NOT_DUE], "rappel", "Facture F-1060 de 99,00 € : échéance le 20 mars 2026"),
    ],
)
def test_a_subject_says_what_how_much_and_since_when(
    documents: list[dict[str, Any]], tone: str, subject: str
) -> None:
    shown = followup(*documents, tone=tone).subject

    assert shown.replace("\u00a0", " ") == subject


def test_the_courteous_reminder_reads_as_it_was_written() -> None:
    text = followup(LATE, legal=None).text.replace("\u00a0", " ").replace("\u202f", " ")

    assert text == (
        """\
Atelier Moreau
À l’attention de SARL Les Jardins de Lorraine
Le 10 mars 2026

Votre facture F-1042 reste à régler
-----------------------------------

Bonjour,

Sauf erreur de notre part, nous n’avons pas encore reçu le règlement de
la facture F-1042 du 26 janvier 2026, d’un montant de 1 234,56 €,
arrivée à échéance le 26 février 2026. Il s’agit peut-être d’un oubli.

  Facture : F-1042 du 26 janvier 2026
  Échéance : 26 février 2026 (12 jours de retard)
  Reste à régler : 1 234,56 €

Pourriez-vous procéder à ce règlement dans les prochains jours ? La
facture est jointe à ce message.

Pour régler par virement :
  Bénéficiaire : Atelier Moreau
  IBAN : FR76 3000 6000 0112 3456 7890 189
  Référence à rappeler : F-1042

Si votre règlement a croisé ce message, n’en tenez pas compte et recevez
nos remerciements. Pour toute question, répondez simplement à ce message
ou appelez-nous au 03 87 12 34 56.

Cordialement,
Atelier Moreau

----
12 rue des Tanneurs, 57000 Metz
Téléphone : 03 87 12 34 56
Courriel : compta@atelier-moreau.example
SIRET : 123 456 782 00010
"""
    )


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("documents", [[LATE], [PARTLY], [LATE, LONG_LATE], [LATE, NOT_DUE]])
def test_a_consumer_is_never_asked_for_penalties_or_an_indemnity(
    tone: str, documents: list[dict[str, Any]]
) -> None:
    content = invoices(*documents, tone=tone, legal=None)
    absent = {key: value for key, value in content.items() if key != "legal"}

    for rendered in (render("invoice_followup", content), render("invoice_followup", absent)):
        for part in (rendered.subject, rendered.text, rendered.html):
            assert not [claim for claim in CLAIMS if claim in part]


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("documents", [[LATE], [LATE, LONG_LATE], [LATE, NOT_DUE]])
def test_a_professional_is_told_the_penalties_and_the_indemnity(
    tone: str, documents: list[dict[str, Any]]
) -> None:
    rendered = followup(*documents, tone=tone, legal=LEGAL)

    for part in (words(rendered.text), words(rendered.html)):
        assert "articles L441-10 et D441-5 du Code de commerce" in part
        assert "au taux annuel de 14,76\u00a0% (en vigueur depuis le 1er juillet 2024)" in part
        assert (
            "indemnité forfaitaire pour frais de recouvrement de 40,00\u00a0€ par facture" in part
        )
        assert "sans qu’un rappel soit nécessaire" in part


@pytest.mark.parametrize("tone", TONES)
def test_without_a_known_rate_no_figure_is_given(tone: str) -> None:
    legal = {"indemnity": "40.00", "rate": None, "rate_since": None}

    text = words(followup(LATE, tone=tone, legal=legal).text)

    assert "au taux prévu par l’article L441-10" in text
    assert "%" not in text
    assert "en vigueur" not in text


@pytest.mark.parametrize(("tone", "before_due"), list(product(TONES, (True, False))))
def test_nothing_is_claimed_and_nobody_blamed_before_the_due_date(
    tone: str, before_due: bool
) -> None:
    other = document("F-1061", due_on="2026-03-10", days_late=0)
    for documents in ([NOT_DUE], [NOT_DUE, other]):
        rendered = followup(*documents, tone=tone, before_due=before_due, legal=LEGAL)
        for part in (rendered.subject, words(rendered.text), words(rendered.html)):
            assert not [claim for claim in CLAIMS if claim in part]
            assert not re.search("retard|impayé|mise en demeure|oubli", part, re.IGNORECASE)
        assert "échéance" in rendered.subject


def test_an_invoice_due_today_says_so() -> None:
    today = document("F-1061", due_on="2026-03-10", days_late=0)

    assert followup(today, before_due=True).subject.endswith("échéance aujourd’hui")


def test_a_friendly_notice_stays_friendly_when_one_document_is_already_late() -> None:
    rendered = followup(NOT_DUE, LATE, before_due=True, tone="ferme")

    assert "Il s’agit peut-être d’un oubli." in words(rendered.text)
    assert "F-1060, qui n’est pas encore échue, est rappelée pour information" in words(
        rendered.html
    )


def test_each_tone_has_its_own_manners() -> None:
    courteous, firm, formal = (words(followup(LATE, tone=tone).text) for tone in TONES)

    assert "Il s’agit peut-être d’un oubli." in courteous
    assert "Si votre règlement a croisé ce message, n’en tenez pas compte" in courteous
    assert "dès réception de ce message" in firm
    assert "Si une difficulté ou un désaccord explique ce retard" in firm
    assert "oubli" not in firm + formal
    assert "nous vous mettons en demeure, au sens de l’article 1344 du Code civil" in formal
    assert formal.count("mercredi 18 mars 2026") == 1
    assert "Veuillez agréer, Madame, Monsieur" in formal
    for letter in (courteous, firm, formal):
        assert not re.search(r"\b(tu|ton|ta|tes)\b", letter)


def test_a_later_reminder_does_not_start_as_the_first_one() -> None:
    assert "Nous revenons vers vous" not in followup(LATE, level=1).text
    assert "Nous revenons vers vous" in followup(LATE, level=2).text


def test_a_formal_notice_demands_only_what_is_late() -> None:
    text = words(followup(LATE, LONG_LATE, NOT_DUE, tone="mise_en_demeure").text)

    assert (
        "de nous régler la somme de 1\u202f314,56\u00a0€, aujourd’hui échue, dans un délai" in text
    )
    assert "La facture F-1060, qui n’est pas encore échue, est rappelée pour information." in text


@pytest.mark.parametrize("tone", TONES)
def test_a_partial_payment_is_acknowledged_and_the_rest_asked_for(tone: str) -> None:
    rendered = followup(PARTLY, tone=tone)

    for part in (words(rendered.text), words(rendered.html)):
        assert "Vous avez déjà réglé 266,00\u00a0€ sur un total de 500,00\u00a0€" in part
        assert re.search("il reste *234,00\u00a0€ *à régler", part)
    assert "234,00\u00a0€" in rendered.subject
    several = followup(LATE, PARTLY, tone=tone)
    assert "Déjà réglé\u00a0: 266,00\u00a0€ sur 500,00\u00a0€" in several.text
    assert "266,00\u00a0€ réglés sur 500,00\u00a0€" in several.html


def test_several_invoices_are_listed_with_a_total_for_each_currency() -> None:
    rendered = followup(LATE, LONG_LATE, IN_DOLLARS)

    assert "les trois factures ci-dessous" in words(rendered.text)
    assert "Total\u00a0: 1\u202f314,56\u00a0€ et 310,00\u00a0$US" in rendered.text
    assert "1\u202f314,56\u00a0€<br>310,00\u00a0$US" in rendered.html
    for number in ("F-1042", "F-0991", "F-1055"):
        assert f"<strong>{number}</strong>" in rendered.html
    assert "F-1042, F-0991, F-1055" in words(rendered.text)


def many(count: int, **changes: Any) -> list[dict[str, Any]]:
    """Invoices from the oldest on; the n-th is of n euros."""
    return [
        document(f"F-{n:04}", remaining=f"{n}.00", days_late=2000 - n, **changes)
        for n in range(1, count + 1)
    ]


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize(
    ("count", "others"),
    [
        (60, None),
        (61, "et 1 autre facture, pour un montant de 61,00\u00a0€"),
        (62, "et 2 autres factures, pour un montant de 123,00\u00a0€"),
        (1200, "et 1\u202f140 autres factures, pour un montant de 718\u202f770,00\u00a0€"),
    ],
)
def test_a_long_list_names_the_oldest_and_sums_up_the_others(
    tone: str, count: int, others: str | None
) -> None:
    rendered = followup(*many(count), tone=tone)
    total = f"{count * (count + 1) // 2:,}.00".replace(",", "\u202f").replace(".", ",")
    for part in (words(rendered.text), words(rendered.html)):
        assert [n for n in range(1, count + 1) if f"F-{n:04}" in part] == list(
            range(1, min(count, 60) + 1)
        )
        assert re.findall(r"et [0-9\u202f]+ autres? factures?, pour [^.]*?\u00a0€", part) == (
            [others] if others else []
        )
        assert f"{total}\u00a0€" in part
    assert total in rendered.subject


def test_what_is_not_listed_is_summed_up_by_currency() -> None:
    rendered = followup(*many(60), *many(2, currency="USD"), *many(1))

    for part in (words(rendered.text), words(rendered.html)):
        assert "et 3 autres factures, pour un montant de 3,00\u00a0$US et 1,00\u00a0€" in part
    assert "F-0060 et 3 autres" in words(rendered.text)


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("number", ["F" * 200, "&" * 200, "😀" * 200])
def test_no_letter_is_so_long_that_gmail_hides_its_end(tone: str, number: str) -> None:
    large = {"total": "123456789.12", "remaining": "98765432.10", "partly_paid": True}
    documents = [document(number, days_late=3000, **large) for _ in range(500)]

    assert len(followup(*documents, tone=tone, legal=LEGAL).html.encode()) < 102_000


@pytest.mark.parametrize(
    ("pay_by", "says"),
    [
        ("2026-03-18", "dans un délai de huit jours, soit au plus tard le mercredi 18 mars"),
        (
            "2026-03-20",
            "dans un délai de huit jours, reporté au premier jour ouvré qui suit, soit au plus "
            "tard le vendredi 20 mars",
        ),
    ],
)
def test_a_formal_notice_says_until_when_and_that_the_day_was_moved(pay_by: str, says: str) -> None:
    rendered = followup(LATE, tone="mise_en_demeure", pay_by=pay_by)

    for part in (words(rendered.text), words(rendered.html)):
        assert says in part
    assert f"le {pay_by[-2:]} mars" in rendered.subject.replace("\u00a0", " ")


@pytest.mark.parametrize("value", [..., None])
def test_details_that_a_business_does_not_give_leave_no_trace(value: object) -> None:
    business: dict[str, Any] = {"name": "Atelier Moreau"}
    if value is None:
        business |= dict.fromkeys(("phone", "address", "siret", "iban", "reply_to"))

    rendered = followup(LATE, business=business)

    for part in (rendered.text, rendered.html):
        for label in (
            "IBAN",
            "virement",
            "SIRET",
            "Téléphone",
            "Courriel",
            "appelez-nous",
            "----\n",
        ):
            assert label not in part.replace("-----", "")
    assert "Pour toute question, répondez simplement à ce message." in words(rendered.text)


@pytest.mark.parametrize("tone", TONES)
def test_an_attachment_is_announced_only_when_there_is_one(tone: str) -> None:
    assert "La facture est jointe à ce message." in words(followup(LATE, tone=tone).html)
    assert "Les factures sont jointes à ce message." in words(
        followup(LATE, PARTLY, tone=tone).text
    )
    assert "joint" not in words(followup(LATE, tone=tone, attached=False).text)


@pytest.mark.parametrize("tone", TONES)
def test_a_quote_is_never_chased_with_the_law(tone: str) -> None:
    for rendered in (quotes(tone=tone), quotes({}, {"number": "D-209"}, tone=tone)):
        for part in (rendered.subject, rendered.text, rendered.html):
            assert not [claim for claim in CLAIMS if claim in part]
            assert "demeure" not in part


@pytest.mark.parametrize("tone", TONES)
def test_a_quote_can_be_accepted_discussed_or_declined(tone: str) -> None:
    text = words(quotes(tone=tone).text)

    assert "vous acceptez\u00a0: renvoyez-nous le devis daté et signé" in text
    assert "«\u00a0bon pour accord\u00a0»" in text
    assert "vous avez une question" in text
    assert "vous n’y donnez pas suite\u00a0: un mot suffit" in text


@pytest.mark.parametrize(
    ("days_left", "end", "left"),
    [
        (14, "expire dans 14\u00a0jours", "(encore 14\u00a0jours)"),
        (1, "expire demain", "(encore 1\u00a0jour)"),
        (0, "expire aujourd’hui", "(dernier jour)"),
    ],
)
def test_a_quote_says_how_long_it_is_still_valid(days_left: int, end: str, left: str) -> None:
    rendered = quotes({"days_left": days_left}, tone="ferme")

    assert rendered.subject == f"Votre devis D-208 de 3\u202f480,00\u00a0€ {end}"
    assert left in rendered.text
    assert left in rendered.html
    assert "Sa validité prend fin le mardi 24 mars 2026" in words(rendered.text)


def test_a_quote_without_an_end_promises_none() -> None:
    for tone in ("rappel", "ferme"):
        rendered = quotes({"valid_until": None, "days_left": None}, tone=tone)
        assert not re.search("valable|validité|expire", rendered.subject + words(rendered.text))


def test_an_alert_always_goes_out() -> None:
    rendered = render("operator_alert", {"job": "followups"})

    assert rendered.subject == "Alerte\u00a0: followups"
    assert "page d’exploitation" in words(rendered.html)


def test_an_alert_says_what_failed_and_where_to_look() -> None:
    content = sample("operator_alert")

    rendered = render("operator_alert", content)

    assert rendered.subject == "[prod] Échec\u00a0: Relances automatiques"
    assert f'href="{content["url"]}"' in rendered.html
    assert content["url"] in rendered.text
    assert "le 10 mars 2026 à 9\u00a0h\u00a000" in rendered.text
    for part in (words(rendered.text), words(rendered.html)):
        assert content["error"] in part
        assert content["run_id"] in part


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example"])
def test_an_alert_links_only_to_web_addresses(url: str) -> None:
    rendered = render("operator_alert", sample("operator_alert") | {"url": url})

    assert "href" not in rendered.html
    assert url not in rendered.text


def test_an_alert_with_another_kind_of_date_shows_it_as_it_is() -> None:
    rendered = render("operator_alert", sample("operator_alert") | {"when": "ce matin"})

    assert "a échoué (ce matin)." in words(rendered.text)
