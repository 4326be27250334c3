"""The mean of networks of one ancestry: nearer to all of them than a further round of training is to any.

A network that went on learning and the one it came from lie in one valley; between them the newly learnt
is kept and less is forgotten. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.train.start import FitPlaces, load_start
from models.train.tiles import Picture

MEAN_FILE = "mean.pt"


def write_mean(
    best: Path, shares: Mapping[str, float], places: FitPlaces, pictures: Sequence[Picture]
) -> Path:
    """Write ``mean.pt`` beside a run's best checkpoint: ``shares`` of others, the rest its own weights.

    The others are named as in :func:`load_start`, which takes ``pictures``. Running statistics of
    normalisation are averaged too, which is near what the mean network sees; ``models export
    --recalibrate`` measures them.

    Raises:
        ConfigError: one of the others is not there.

    """
    import torch  # noqa: PLC0415 - in the [train] extra alone, and seconds to import
    from ultralytics.nn.tasks import DetectionModel, load_checkpoint  # noqa: PLC0415 - as above

    model = load_checkpoint(str(best))[0].float()
    own = model.state_dict()
    total = {key: value * (1 - sum(shares.values())) for key, value in _floating(own).items()}
    for name, share in shares.items():
        other = DetectionModel(model.yaml, verbose=False)
        load_start(other, name, places, pictures)
        for key, value in _floating(other.state_dict()).items():
            total[key] += share * value
    model.load_state_dict(own | total)
    target = best.with_name(MEAN_FILE)
    checkpoint = torch.load(best, map_location="cpu", weights_only=False)
    torch.save(checkpoint | {"model": model.half(), "ema": None, "shares": dict(shares)}, target)
    return target


def _floating(state: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is no number to average: how many batches a normalisation has seen."""
    return {key: value for key, value in state.items() if value.is_floating_point()}
