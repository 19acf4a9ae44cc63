"""A part of a file in a run folder, and its numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat

Length = Annotated[PositiveFloat, Field(allow_inf_nan=False)]
NotNegative = Annotated[FiniteFloat, Field(ge=0)]


class Stored(BaseModel):
    """A part of a file in a run folder. It is frozen, and ignores unknown keys, which later versions may add."""

    model_config = ConfigDict(frozen=True, extra="ignore")
