"""Encode the models for their confined process as plain bytes, which the process that watches it never parses."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tradebot.adapters.models.model_folder import ModelParts, parts_of
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.learning.inference import ModelSelection
from tradebot.learning.model_card import Model

ACTING, MODELS = "acting", "models"


def worker_settings(models: Sequence[Model], acting: ModelSelection) -> Mapping[str, Any]:
    """Return the settings with which a process starts these models."""
    files = [
        (model.id, dict(ModelParts(model.card, model.scaling, model.probe, model.graph).files())) for model in models
    ]
    return {MODELS: files, ACTING: json_text(encode(acting))}


def parse_settings(settings: Mapping[str, Any]) -> tuple[Sequence[Model], ModelSelection]:
    """Return the models in these settings, and how they are combined."""
    models = [Model(name, *parts_of(files)) for name, files in settings[MODELS]]
    return models, decode(ModelSelection, json.loads(settings[ACTING]))
