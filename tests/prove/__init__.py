"""The long forms of the reliability tests: see `docs/proofs.md`."""

import warnings

# A machine without XDG_RUNTIME_DIR: the fallback that platformdirs announces is fine.
warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
