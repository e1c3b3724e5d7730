from __future__ import annotations

import subprocess
import sys

import pytest

from chalicelib.errors import SettingsError
from chalicelib.providers.whatsapp import open_whatsapp
from chalicelib.providers.whatsapp.meta import MetaProvider
from chalicelib.providers.whatsapp.twilio import TwilioProvider
from chalicelib.redaction import scrub_text

ACCOUNT, KEY, SERVICE = "AC" + "a" * 32, "SK" + "b" * 32, "MG" + "c" * 32
TWILIO = f"twilio://{ACCOUNT}:s3cret@"
META = "meta://:EAAs3cret@106540352242922"


@pytest.mark.parametrize(
    "url",
    [
        f"{TWILIO}?from=whatsapp:+33939010203",
        f"{TWILIO}/?from=%2B33939010203&messaging_service={SERVICE}",
        f"{TWILIO}?messaging_service={SERVICE}",
        f"twilio://{KEY}:s3cret@?account={ACCOUNT}&from=+33939010203",
        f"{TWILIO}?from=+33939010203&base_url=http://127.0.0.1:8080",
    ],
)
def test_twilio_is_opened_by_account_or_key_and_by_number_or_service(url: str) -> None:
    factory = open_whatsapp(url)
    first, second = factory(), factory()
    assert isinstance(first, TwilioProvider)
    assert first is not second
    assert first.name == "twilio"


@pytest.mark.parametrize(
    "url", [META, f"{META}?version=v25.0", f"{META}/?base_url=http://localhost:8080"]
)
def test_meta_is_opened_by_phone_number_id_and_token(url: str) -> None:
    provider = open_whatsapp(url)()
    assert isinstance(provider, MetaProvider)
    assert provider.name == "meta"


@pytest.mark.parametrize("url", [f"{TWILIO}?from=+33939010203", META])
def test_the_secret_is_in_no_description_and_masked_in_a_log(url: str) -> None:
    factory = open_whatsapp(url)
    for shown in (repr(factory), str(factory), repr(factory()), scrub_text(f"opened {url}")):
        assert "s3cret" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "twilio://",
        "twilio://AC1:s3cret@?from=+33939010203",
        f"{TWILIO}?from=0612345678",
        f"{TWILIO}?from=+33939010203&unknown=1",
        f"{TWILIO}host?from=+33939010203",
        f"{TWILIO}?from=+33939010203#s3cret",
        f"{TWILIO}?s3cret",
        f"{TWILIO}?messaging_service=AC",
        f"{TWILIO}?from=+33939010203&base_url=http://api.twilio.com",
        f"{TWILIO}?from=+33939010203&base_url=https://u:s3cret@api.twilio.com",
        f"twilio://{KEY}:s3cret@?from=+33939010203",
        f"twilio://{ACCOUNT}:@?from=+33939010203",
        f"twilio://{ACCOUNT}:s3cret%0a@?from=+33939010203",
        "meta://106540352242922",
        "meta://:s3cret@numero",
        "meta://user:s3cret@106540352242922",
        "meta://:s3cret@106540352242922:80",
        "meta://:s3cret@106540352242922?version=latest",
        "meta://:s3cret@106540352242922/autre",
        "meta://:s3cret@[::1",
        "https://:s3cret@graph.facebook.com",
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(SettingsError) as error:
        open_whatsapp(url)
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_opening_loads_no_adapter_before_it_is_asked_for() -> None:
    script = (
        "import sys; import chalicelib.providers.whatsapp;"
        "heavy = {'ssl', 'http.client', 'socket', 'chalicelib.providers.whatsapp.twilio'};"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
