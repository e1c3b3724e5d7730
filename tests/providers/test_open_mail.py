from __future__ import annotations

import subprocess
import sys

import pytest

from chalicelib.errors import SettingsError
from chalicelib.providers.mail import open_mail
from chalicelib.providers.mail.ses import SesProvider
from chalicelib.providers.mail.smtp import SmtpProvider


def test_each_call_of_the_factory_gives_another_provider() -> None:
    factory = open_mail("smtp://smtp.example")
    first, second = factory(), factory()
    assert isinstance(first, SmtpProvider)
    assert first is not second
    ses = open_mail("ses://eu-west-3?configuration_set=relances")()
    assert isinstance(ses, SesProvider)
    assert ses.name == "ses"


def test_the_password_is_in_no_description_of_the_factory() -> None:
    factory = open_mail("smtps://lea%40x.fr:s3cret@smtp.example")
    for shown in (repr(factory), str(factory), repr(factory())):
        assert "s3cret" not in shown
        assert "lea" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "smtp://",
        "smtp.example",
        "http://u:s3cret@smtp.example",
        "smtp://u:s3cret@smtp.example:port",
        "smtp://u:s3cret@smtp.example:99999",
        "smtp://u:s3cret/et@smtp.example",
        "smtp://u:s3cret#et@smtp.example",
        "smtp://u:s3cret?et@smtp.example",
        "smtp://u:s3cret@smtp.example?tls=peut-être",
        "smtp://u:s3cret@smtp.example?tls=none",
        "smtps://u:s3cret@smtp.example?tls=none",
        "smtp://u:s3cret@smtp.example?unknown=1",
        "smtp://u:s3cret@[::1",
        "ses://eu-west-3?password=s3cret",
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(SettingsError) as error:
        open_mail(url)
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_opening_mail_loads_no_adapter_before_it_is_asked_for() -> None:
    script = (
        "import sys; import chalicelib.providers.mail, chalicelib.providers.storage;"
        "heavy = {'boto3', 'botocore', 'ssl', 'email', 'smtplib', 'socket'};"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
