"""What to say when a model is not on this machine: the command that fetches it, and how big it is."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.utils import validate_repo_id

NEEDED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
SUFFIXES = tuple(pattern[1:] for pattern in NEEDED)


def absent(name: str, revision: str | None = None) -> FileNotFoundError:
    """The error to raise for a model that is not here."""
    try:
        validate_repo_id(name)
        folder = Path(name).is_absolute() or name.startswith((".", "~"))
    except ValueError:
        folder = True
    if folder:
        return FileNotFoundError(f"`name_or_folder` must be a folder with a model, or a name on the hub. Got {name!r}.")
    at = f" --revision {revision}" if revision else ""
    include = " ".join(f'--include "{pattern}"' for pattern in NEEDED)
    return FileNotFoundError(
        f"`name_or_folder` must be a model that is on this machine. Got {name!r}, {size(name, revision)}. "
        f"Fetch it with\n    hf download {name}{at} {include}\nor pass download=True."
    )


def size(name: str, revision: str | None = None) -> str:
    """How big a model is: asked of the hub, else guessed from its name and said so."""
    try:
        files = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=5).siblings or []
        return f"{sum(file.size or 0 for file in files if file.rfilename.endswith(SUFFIXES)) / 1e9:.2f} GB"
    except Exception as error:  # whatever stands in the way, the first message must come through
        reason = "the hub knows no such model" if "404" in str(error) else "the hub cannot be asked"
    parameters = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)([mb])(?![a-z])", name.lower())
    if parameters is None:
        return f"of unknown size ({reason})"
    billions = float(parameters[1]) * (1 if parameters[2] == "b" else 1e-3)
    return f"about {2 * billions:.2f} GB in half precision by its name ({reason})"
