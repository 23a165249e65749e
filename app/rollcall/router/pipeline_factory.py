"""Builds the pipeline from the settings, for the router and for dead-letters replay."""

from __future__ import annotations

from rollcall.events.dropping import MetadataDropper
from rollcall.events.pipeline import Pipeline
from rollcall.events.redaction import Redactor
from rollcall.process.event_types import event_types, validators_of
from rollcall.settings import Settings


def new_pipeline(settings: Settings) -> Pipeline:
    """The pipeline of the selected event types.

    Raises:
        ConfigurationError: as in :func:`rollcall.process.event_types.event_types`.
    """
    redactor = (
        Redactor(settings.redact_parameters)
        if settings.redact and settings.redact_parameters
        else None
    )
    dropper = MetadataDropper(settings.drop_metadata) if settings.drop_metadata else None
    types = event_types(settings)
    return Pipeline(
        validators_of(settings, types.selected),
        not_selected=types.not_selected,
        shard=settings.shard,
        redactor=redactor,
        dropper=dropper,
    )
