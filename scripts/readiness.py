"""Whether a stage's secrets and settings are there, before anything is uploaded."""

from __future__ import annotations

from chalicelib import jobs, ssm
from chalicelib.settings import Settings
from chalicelib.settings_check import problems
from scripts import config
from scripts.account import Account
from scripts.errors import DeploymentError
from scripts.stages import Stage


def settings_of(stage: Stage, account: Account) -> Settings:
    """The stage's settings as its functions will read them. Raises `DeploymentError` with one line
    per setting that is missing or unusable, and `SettingsError` when SSM cannot be read."""
    path = f"/ponctuel/{stage.name}/"
    held = ssm.load(path, account.client("ssm"))
    current = Settings.from_mapping(config.environment(stage), parameters=held)
    found = problems(current, jobs.NAMES)
    if "CRON_SECRET" not in held:
        found.append(
            "CRON_SECRET manque : sans lui l'API refuse tous les appels. "
            f"`./ponctuel secrets rotate --stage {stage.name}` en fabrique un et l'enregistre."
        )
    if "MAIL_URL" not in held:
        found.append(
            f"MAIL_URL manque : aucun message ne partirait. {current.how_to_set('MAIL_URL')}"
        )
    if found:
        raise DeploymentError(
            f"L'étape {stage.name} n'est pas prête (compte {account.number}, région "
            f"{account.region}) ; rien n'a été déployé :\n"
            + "\n".join(f"- {problem}" for problem in found)
        )
    return current
