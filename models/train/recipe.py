"""A recipe: which sources, cut and composed how, trained how. One YAML file, checked whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from towerwatch.yamlconfig import StrictModel, load_yaml

Fraction = Annotated[float, Field(ge=0, le=1)]


class Teacher(StrictModel):
    """A ready detector whose sure boxes complete labels that a source lacks."""

    model: str = Field(description="ONNX file of the YOLOX family, under the weights folder")
    labels: tuple[str, ...] = Field(description="its class names that count")
    to: str = Field(description="our class")
    confidence: Fraction = 0.5
    mode: Literal["complete", "exclude"] = "complete"


class Tiles(StrictModel):
    """How training pictures are cut out of a source's pictures.

    ``scale`` is drawn log-uniformly and multiplies the picture's own size; ``stretch`` is the
    greatest widening (1.6: up to 1.6 times wider), for sources whose export squeezed them.
    """

    per_picture: PositiveInt = 1
    scale: tuple[float, float] = (1.0, 1.0)
    stretch: Annotated[float, Field(ge=1)] = 1.0
    on_object_frac: Fraction = 0.8
    min_visible_frac: Fraction = 0.35
    region: tuple[Fraction, Fraction, Fraction, Fraction] = (0, 0, 1, 1)
    seam_frac: Fraction = Field(
        default=0.0, description="share of tiles with places inpainted as labels were"
    )


class Mined(StrictModel):
    """A registered model whose mistakes on training pictures become places to cut tiles about."""

    model: str = Field(description="name@version")
    tile_px: Annotated[int, Field(ge=64)] = Field(
        description="it looks through tiles of this side, as at the edge"
    )
    confidence: Fraction = 0.1
    frac: Fraction = Field(default=0.5, description="share of the tiles of a picture that has such places")


class FileSource(StrictModel):
    """Labelled pictures on disk, in a known layout."""

    id: str
    reader: Literal["yolo", "coco", "voc", "scenes", "verdicts"]
    path: str = Field(description="folder, relative to the data folder")
    annotations: str | None = None
    licence: str
    classes: dict[str, str] = Field(
        default_factory=dict, description="source's class -> ours; others left out"
    )
    group: str = Field(
        default="", description="regular expression on the file name; its first group is the group"
    )
    group_csv: str = Field(default="", description="CSV file,group beside the pictures, instead of `group`")
    hold_out: tuple[str, ...] = Field(default=(), description="groups kept for validation")
    hold_out_count: int = Field(default=0, ge=0, description="or so many groups, drawn by the seed")
    drop: tuple[str, ...] = Field(default=(), description="groups used for nothing here")
    only_empty: bool = Field(default=False, description="take the pictures without any box alone")
    limit: PositiveInt | None = None
    tiles: Tiles = Field(default_factory=Tiles)
    teacher: Teacher | None = None
    mined: Mined | None = Field(default=None, description="hard negatives")


class ComposedSource(StrictModel):
    """Pictures that a composer makes, on backgrounds from other sources where it needs them."""

    id: str
    composer: Literal["plume", "lookalike", "street"]
    count: PositiveInt
    validation_count: int = Field(default=0, ge=0)
    backgrounds: tuple[str, ...] = Field(default=(), description="ids of file sources above")
    licence: str = "AGPL-3.0-or-later"
    tiles: Tiles = Field(default_factory=Tiles, description="how backgrounds are cut out")


class Fit(StrictModel):
    """What Ultralytics is told. Every number here goes into the record of the run."""

    architecture: str = "yolov5n.yaml"
    start: str = Field(
        default="",
        description="safetensors backbone under the weights folder, name@version of a registered model, "
        "or the name of a recipe",
    )
    mean_with: dict[str, Fraction] = Field(
        default_factory=dict,
        description="weights of these, named as in `start`, get these shares in what is exported; "
        "what was trained gets the rest",
    )
    image_px: Annotated[int, Field(multiple_of=32, ge=64)] = 416
    epochs: PositiveInt = 12
    batch: PositiveInt = 16
    freeze: Annotated[int, Field(ge=0)] = 0
    optimizer: Literal["AdamW", "SGD"] = "AdamW"
    lr0: float = 0.001
    lrf: float = 0.02
    cos_lr: bool = Field(default=False, description="let the rate fall as a cosine, not as a line")
    weight_decay: float = 0.0005
    warmup_epochs: float = 1.0
    warmup_bias_lr: float = 0.0  # the library's 0.1 is meant for SGD; with AdamW it wrecks every bias
    mosaic: Fraction = 0.5
    close_mosaic: int = 3
    degrees: float = 0.0
    scale: Fraction = 0.3
    translate: Fraction = 0.1
    fliplr: Fraction = 0.5
    hsv_h: Fraction = 0.015
    hsv_s: Fraction = 0.6
    hsv_v: Fraction = 0.4
    threads: PositiveInt = 2
    bf16: bool = Field(default=False, description="bfloat16 on the CPU: for those that compute in it")

    @model_validator(mode="after")
    def _something_is_its_own(self) -> Fit:
        if sum(self.mean_with.values()) >= 1:
            msg = f"mean_with: shares add up to {sum(self.mean_with.values()):g}, nothing trained is left"
            raise ValueError(msg)
        return self


class Card(StrictModel):
    """What the model card says in words; the figures come from reports."""

    purpose: str = ""
    fails: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    licence: str = "AGPL-3.0-or-later"


class Recipe(StrictModel):
    """Everything that makes one trained detector, but for the pictures themselves."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    labels: tuple[str, ...]
    seed: int = 0
    tile_px: Annotated[int, Field(ge=64)] = 512
    sources: tuple[FileSource, ...]
    composed: tuple[ComposedSource, ...] = ()
    fit: Fit = Fit()
    card: Card = Card()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        ids = [source.id for source in self.sources] + [source.id for source in self.composed]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            msg = f"source ids stand twice: {', '.join(twice)}"
            raise ValueError(msg)
        for source in self.sources:
            for target in source.classes.values():
                if target not in self.labels:
                    msg = f"source {source.id}: {target!r} is none of the labels {', '.join(self.labels)}"
                    raise ValueError(msg)
        known = {source.id for source in self.sources}
        for composed in self.composed:
            for background in composed.backgrounds:
                if background not in known:
                    msg = f"composed source {composed.id}: background {background!r} is no source above"
                    raise ValueError(msg)
        return self


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file; ConfigError names file, line and key."""
    return load_yaml(path, Recipe)
