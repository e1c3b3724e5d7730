"""What people wrote: HTML made harmless and made text, quotations and signatures left out."""

# ruff: noqa: E501 - lines of e-mails are as they are
from __future__ import annotations

import pytest

from chalicelib.mail.flowed import unflowed
from chalicelib.mail.html import sanitised, text_of
from chalicelib.mail.quotation import snippet


@pytest.mark.parametrize(
    ("source", "clean"),
    [
        ("<p onclick=a() style='color:red'>x</p>", "<p>x</p>"),
        ("<script>alert(1)</script>x<style>p{}</style>", "x"),
        ('<a href="javascript:alert(1)">x</a>', '<a rel="noopener noreferrer nofollow">x</a>'),
        ("<p title='&#7;'>a&#1;&#x7f;&#12;b&#0;</p>", '<p title="">ab\ufffd</p>'),
        ('<img src="cid:a" alt="e&#8;e">', '<img src="cid:a" alt="ee">'),
        ('<a href=" java\nscript:alert(1)">x</a>', '<a rel="noopener noreferrer nofollow">x</a>'),
        ('<a href="\x01javascript\t:alert(1)">', '<a rel="noopener noreferrer nofollow"></a>'),
        ('<a href="/logout">x</a>', '<a rel="noopener noreferrer nofollow">x</a>'),
        ('<a href="//evil.fr">x</a>', '<a rel="noopener noreferrer nofollow">x</a>'),
        ('<a href="tel:+33100000000">x</a>',
         '<a href="tel:+33100000000" rel="noopener noreferrer nofollow">x</a>'),
        ('<img src="https://t/o.gif" alt="Logo">', '<img alt="Logo">'),
        ('<img alt="a" src="https://t/o.gif" width="1">', '<img alt="a" width="1">'),
        ('<img alt=" src=" src="http://t/o.gif">', '<img alt=" src=">'),
        ('<img src="cid:a@b">', '<img src="cid:a@b">'),
        ('<img src="data:image/svg+xml,x">', "<img>"),
        ('<img srcset="http://t/o.gif 2x">', "<img>"),
        ('<table background="http://t/o.gif"><tr><td>x</td></tr></table>',
         "<table><tbody><tr><td>x</td></tr></tbody></table>"),
        ("<form action=x><input name=a>x</form>", "x"),
        ("<iframe src=http://x></iframe><object data=x></object><embed src=x>", ""),
        ("<noscript><p title='</noscript><img src=x onerror=a>'></noscript>", "'&gt;"),
        ("<!--[if mso]><b>x</b><![endif]-->y", "y"),
        ('text " src="http://x" text', 'text " src="http://x" text'),
    ],
)  # fmt: skip
def test_html_is_left_without_power_and_without_remote_content(source: str, clean: str) -> None:
    found = sanitised(source, 10_000)[0]
    assert found.replace("<img>", "") == clean.replace("<img>", "")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>Bonjour&nbsp;!</p><p>a<br>b</p>", "Bonjour !\n\na\nb"),
        ("<div>a</div>\n<div>b</div><div><br></div><div>c</div>", "a\nb\n\nc"),
        ("<blockquote>un<blockquote>deux</blockquote></blockquote>x", "> un\n> > deux\nx"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("<table><tr><td>Total</td><td>7 €</td></tr><tr><td>b</td></tr></table>", "Total 7 €\nb"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<img alt='Logo' src='cid:x'> &lt;b&gt; &amp;", "Logo <b> &"),
        ("a\u200b\u00ad\u034fb", "ab"),
        ("<a href='http://x' title='a>b'>lien</a>", "lien"),
    ],
)
def test_html_is_read_as_text_with_its_lines(source: str, text: str) -> None:
    assert text_of(sanitised(source, 10_000)[0]) == text


NEW = "C’est d’accord."


@pytest.mark.parametrize(
    "text",
    [
        f"{NEW}\n\nLe lun. 2 mars 2026 à 10:12, Jean <j@x.fr> a écrit :\n\n> vieux",
        f"{NEW}\n\nLe lun. 2 mars 2026 à 10:12, Jean Petit de la Société\n<j@x.fr> a écrit :\n> vieux",
        f"{NEW}\n\nLe 2 mars 2026 à 10:12, Jean a écrit\u00a0:\nvieux sans chevrons",
        f"{NEW}\nOn Mon, Mar 2, 2026 at 10:12 AM Jean <j@x.fr> wrote:\n> old",
        f"{NEW}\nJean Petit <j@x.fr> a écrit :\n> vieux",
        f"{NEW}\n\n-----Message d’origine-----\nDe : Jean\nvieux",
        f"{NEW}\n\n-------- Message d'origine --------\nDe : Jean",
        f"{NEW}\n\n-----Original Message-----\nFrom: Jean",
        f"{NEW}\n\nDe : Jean <j@x.fr>\nEnvoyé : lundi 2 mars 2026 08:00\nÀ : Paul\nObjet : x\n\nvieux",
        f"{NEW}\n\n*De :* Jean\n*Envoyé :* lundi\n*À :* Paul\n\nvieux",
        f"{NEW}\n\nFrom: Jean\nSent: Monday\nTo: Paul\nSubject: x\n\nold",
        f"{NEW}\n\n________________________________\nDe : Jean",
        f"{NEW}\n\nDébut du message réexpédié :\n\n> x",
        f"{NEW}\n-- \nJean Petit\n06 00 00 00 00",
        f"{NEW}\n--\nJean Petit",
        f"{NEW}\n\nEnvoyé de mon iPhone\n\n> Le 2 mars 2026 à 10:00, Jean a écrit :\n>\n> vieux",
        f"{NEW}\n\nTélécharger Outlook pour iOS<https://aka.ms/o0ukef>\n",
        f"> Vous confirmez ?\n\n{NEW}\n",
        f"Le 2 mars 2026, Jean a écrit :\n> Vous confirmez ?\n\n{NEW}\n",
    ],
)
def test_what_is_new_is_told_from_what_is_quoted(text: str) -> None:
    assert snippet(text, 300) == NEW


@pytest.mark.parametrize(
    "text",
    [
        "Le devis est signé.\nOn en parle demain : ça va ?",
        "Je viens de : Lyon.\nÀ demain",
        "De : demain à lundi, absent.\nMerci",
        "Le prix – 12 € – me va.",
        "On m'a écrit hier : rien à signaler, voir plus bas. Suite.",
    ],
)
def test_what_only_looks_like_a_quotation_is_kept(text: str) -> None:
    assert snippet(text, 300) == " ".join(text.split())


def test_an_email_that_only_forwards_shows_what_it_forwards() -> None:
    text = "---------- Forwarded message ---------\nDe : Jean\nObjet : x\n\nLe contrat"
    assert snippet(text, 300).endswith("Le contrat")


def test_a_snippet_ends_between_words() -> None:
    assert snippet("mot " * 100, 20) == "mot mot mot mot…"
    assert len(snippet("x" * 1000, 300)) == 300


def test_flowed_paragraphs_are_unfolded_and_quotations_kept() -> None:
    text = "un \ndeux\n> cité \n> encore\n-- \nJean \nPetit\n From x\n"
    assert unflowed(text, delsp=False) == ("un deux\n> cité encore\n-- \nJean Petit\nFrom x\n")
    assert unflowed("un \ndeux", delsp=True) == "undeux"
