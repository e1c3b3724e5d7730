"""What stops a deployment. The text is French and says what to do."""

from __future__ import annotations

from chalicelib.errors import PonctuelError


class DeploymentError(PonctuelError):
    """Nothing was changed, or the message says what was and how to go on."""

    code = "deployment"
