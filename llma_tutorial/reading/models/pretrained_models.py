"""Pretrained language models that the package fetches: `python -m llma_tutorial fetch`, then no network any more.

    "smollm2"    SmolLM2-135M-Instruct (Allal et al. 2025, arXiv 2502.02737): 134.5 million parameters, 30 layers, a
                 context of 8,192 tokens, trained on ordinary text and tuned to follow instructions; Apache-2.0

It is small: measure what it says before you believe it. Its weights come rounded to four bits in a GGUF file, so its
numbers are those of this file and of no other copy; `parameters` of the model holds their hash. To compute every weight
in float32 takes longer than all else, so that is done once: config, safetensors and tokenizer go to a folder in the
cache, named by the file's hash, which opens in seconds.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llma_tutorial import _validate, fetch

if TYPE_CHECKING:
    from llma_tutorial.reading.models.hub_models import HubModel

FILES = {"smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf"}


def pretrained(name: str = "smollm2", **hub_arguments: Any) -> HubModel:
    """Open a fetched language model.

    Parameters
    ----------
    name : {"smollm2"}
        Which model.
    **hub_arguments
        Wording, examples, precision and device, as for `hub`; `revision` and `download` are refused, for the fetched
        file has one version.

    Returns
    -------
    HubModel

    Raises
    ------
    FileNotFoundError
        If it has not been fetched; says what to run.
    ValueError
        If an argument is out of range.
    OSError
        If it has not been converted yet and the cache has no room for that.
    """
    from llma_tutorial.reading.models.hub_models import hub

    folder = converted(name)
    for argument in ("revision", "download"):
        if argument in hub_arguments:
            raise ValueError(f"`{argument}` must be left out: a fetched model has one version. Got it.")
    return replace(hub(folder, **hub_arguments), name=name)


def converted(name: str = "smollm2") -> Path:
    """Folder of a fetched model with ordinary weights, made on the first call: half a minute, half a gigabyte.

    Raises
    ------
    FileNotFoundError
        If it has not been fetched; says what to run.
    OSError
        If the cache has no room for it, or cannot be written.
    """
    _validate.one_of("name", name, list(FILES))
    source = fetch.fetched(name)
    (file,) = (member for member in fetch.SOURCES[name].members if member.name == FILES[name])
    folder = fetch.cache_folder() / f"{name}-float32-{file.sha256[:12]}"
    if not folder.is_dir():
        fetch.fetched(name, every_byte=True)  # a damaged file must not be made into a good-looking folder
        fetch.place(folder.name, 6 * file.size, partial(_convert, source / file.name), folder.is_dir)
    return folder


def _convert(file: Path, folder: Path, scratch: Path) -> None:
    """Write the model of a GGUF file into `folder`."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from llma_tutorial.reading.models.hub_models import hub

    model = hub(file)
    network, config = model.network, model.network.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # the weights are ordinary numbers now
    config.architectures = [type(network).__name__]
    tied = set(network.all_tied_weights_keys)  # the same numbers as another tensor
    weights = {key: tensor.contiguous() for key, tensor in network.state_dict().items() if key not in tied}
    target = folder / "model.safetensors"
    try:
        save_file(weights, target, metadata={"format": "pt"})
    except SafetensorError as error:
        found = re.search(r"os error (\d+)", str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number)) from error
    target.chmod(0o644)
    config.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
