"""The doors of the room: functions whatever was imported before, and nothing heavy behind a replay."""

import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

from llma_tutorial.reading import models
from llma_tutorial.reading.models import protocol


def test_no_module_hides_a_door():
    names = {module.name for module in pkgutil.iter_modules(models.__path__)}
    assert names.isdisjoint(models.__all__)
    for name in names:
        importlib.import_module(f"{models.__name__}.{name}")
    for name in models.__all__:
        assert callable(getattr(models, name)), name


def test_a_replay_loads_neither_torch_nor_a_client():
    program = "import sys; from llma_tutorial.reading.models import replay, record, LanguageModel; "
    program += "print([name for name in ('torch', 'transformers', 'openai', 'pandas') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_who_is_asked_by_calls(tmp_path):
    model = models.chat("m", "http://127.0.0.1:9/v1")
    assert isinstance(model, protocol.AskedByCalls)
    assert isinstance(model, protocol.LanguageModel)
    assert not isinstance(models.classroom("reader"), protocol.AskedByCalls)


def test_mass_is_mentioned_below_a_half_only(recwarn):
    protocol.warn_of_little_mass(np.array([0.5, 1.0]))
    protocol.warn_of_little_mass(np.empty(0))
    assert not recwarn
    with pytest.warns(UserWarning, match=r"hold only 0.49 of the probability in the worst of 2 prompts"):
        protocol.warn_of_little_mass(np.array([0.49, 1.0]))
