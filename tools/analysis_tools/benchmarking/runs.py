"""One run: a prediction or a training step of a model, as mmengine's runner makes it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from mmdet.evaluation import INSTANCE_OFFSET
from mmengine.optim import build_optim_wrapper
from torch import nn

from .candidates import Candidate
from .drawn_output import FoundObjects, visible_share
from .scenes import image_batch, training_batch
from .stages import INFERENCE, OPTIMIZATION, TRAINING, StageClock, watched

DTYPES = {'float32': None, 'tf32': None, 'fp16': torch.float16, 'bf16': torch.bfloat16}


@dataclass(frozen=True)
class Setting:
    """What the input is."""

    size: tuple[int, int]  # (H, W) of the image for the network, in pixels, before padding
    out_size: tuple[int, int]  # (H, W) of the result
    batch_size: int  # N
    dtype: str  # a key of :data:`DTYPES`
    # of every image. None for a peer's inference: it finds what its random weights find.
    num_objects: int | None = None


def with_objects(
    candidate: Candidate, setting: Setting, numbers: Sequence[int], training: bool
) -> list[Setting]:
    """The setting with every number of objects; a peer's inference depends on none."""
    if candidate.is_peer and not training:
        return [setting]
    return [replace(setting, num_objects=number) for number in numbers]


class Prediction:
    """``test_step``: preprocessing, network, post-processing; of a model on the device."""

    def __init__(self, model: nn.Module, setting: Setting, device: torch.device) -> None:
        self.model, self.setting, self.device = model.eval(), setting, device
        self.batch = image_batch(setting.size, setting.out_size, setting.batch_size)
        self.objects = nullcontext
        if setting.num_objects is not None:
            visible = visible_share(model, setting.size)
            self.objects = FoundObjects(model, setting.num_objects, visible).in_sight

    def run(self) -> list:
        with torch.no_grad(), numerics(self.setting.dtype, self.device), self.objects():
            return self.model.test_step(self.batch)

    def run_network(self) -> tuple:
        with torch.no_grad(), numerics(self.setting.dtype, self.device):
            return self.model(**self.model.data_preprocessor(self.batch), mode='tensor')

    def watched_run(self, clock: StageClock) -> None:
        # the network's own forward is watched, not its replacement
        with watched(self.model, INFERENCE, clock):
            self.run()

    def num_found(self) -> int:
        ids = self.run()[0].pred_panoptic_seg.sem_seg.unique()
        return int((ids >= INSTANCE_OFFSET).sum())


class TrainingStep:
    """What ``train_step`` does, on drawn ground truth, with a learning rate of next to nothing.

    The candidate gives the optimizer's config.
    """

    def __init__(
        self, candidate: Candidate, model: nn.Module, setting: Setting, device: torch.device
    ) -> None:
        self.model, self.setting, self.device = model.train(), setting, device
        self.batch = training_batch(
            setting.size,
            setting.batch_size,
            setting.num_objects,
            (model.num_things_classes, model.num_stuff_classes),
            bitmaps=candidate.is_peer,
        )
        config = candidate.load().optim_wrapper
        config.optimizer.lr = 1e-9  # random weights must not blow up
        if setting.dtype == 'fp16' and device.type == 'cuda':
            config.update(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16')
        if setting.dtype == 'bf16' and device.type == 'cpu':
            config.update(type='Bfloat16OptimWrapper')
        self.optim_wrapper = build_optim_wrapper(model, config)
        self.optim_wrapper.initialize_count_status(model, 0, 1)

    def run(self) -> None:
        self.optim_wrapper.update_params(self._loss())

    def run_gradients(self) -> None:
        self._loss().backward()

    def _loss(self) -> torch.Tensor:
        with numerics(self.setting.dtype, self.device):
            data = self.model.data_preprocessor(self.batch, training=True)
            return self.model.parse_losses(self.model(**data, mode='loss'))[0]

    def watched_run(self, clock: StageClock) -> None:
        with watched(self.model, TRAINING, clock), watched(self.optim_wrapper, OPTIMIZATION, clock):
            self.run()


@contextmanager
def numerics(dtype: str, device: torch.device) -> Iterator[None]:
    """Autocast, or float32 with or without TF32."""
    torch.backends.cuda.matmul.allow_tf32 = dtype == 'tf32'
    torch.backends.cudnn.allow_tf32 = dtype == 'tf32'
    with torch.autocast(device.type, dtype=DTYPES[dtype], enabled=DTYPES[dtype] is not None):
        yield


def in_one_line(error: Exception) -> str:
    """For a cell of a table; some errors say nothing."""
    lines = str(error).replace('|', '/').splitlines()
    return ': '.join([type(error).__name__, *lines[:1]])
