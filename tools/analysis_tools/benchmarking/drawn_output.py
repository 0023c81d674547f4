"""A network that finds as many objects as one likes, although its weights are random.

The real network runs (and is timed), then its output is overwritten in place: centres are low but
for one peak for each object, the kernels there give masks of the objects' shapes, and the rest of
every level is divided into stuff. What follows, from the search for peaks to the panoptic map, is
the model's own and has the work that a trained model would give it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor, nn

from mmpfcn import LevelMaps
from mmpfcn.models.relative_position import num_place_channels

from .scenes import NODES, NUM_STUFF, place_objects

LOW, PEAK = -8.0, 5.0
INSIDE, OUTSIDE = 3.0, -9.0
NOISE = 0.02


class DrawnOutput:
    """Output of :meth:`PanopticFCNHead.forward` in which known objects can be found.

    A mask is a sum over rows and columns: ``mask_feats`` holds triangles around the rows and
    columns of a lattice, as one-hot codes of the position, with a little noise; the kernel of an
    object has :data:`INSIDE` for its rows and columns and :data:`OUTSIDE` for the others. The other
    channels of ``mask_feats`` are zero: there the kernels differ, so that none are fused. Raw
    kernels are the embedded ones: for embeddings that pass the first channels on.

    Args:
        head: the PanopticFCNHead.
        num_objects: in every image; ValueError when there is no room for them.
        visible: (height, width) of the image as shares of the padded input.
        max_per_img: as in ``test_cfg``; half as many objects go on a level.
    """

    def __init__(
        self, head: nn.Module, num_objects: int, visible: tuple[float, float], max_per_img: int
    ) -> None:
        generator = head.kernel_generator
        raw_channels = generator.kernel_out.out_channels
        embedded = head.feature_encoder.out_channels - num_place_channels(head.feature_encoder)
        channels = min(embedded, raw_channels)
        self.visible = visible
        self.nodes = min((channels - channels // 4) // 2, NODES)
        self.boxes = place_objects(num_objects, self.nodes)
        self.labels = torch.arange(num_objects) % head.num_things_classes
        self.num_stuff = min(NUM_STUFF, head.num_stuff_classes)
        rest = (0, raw_channels - channels)
        self.things = nn.functional.pad(self._thing_kernels(channels), rest)  # (G, C)
        self.stuff = nn.functional.pad(self._stuff_kernels(channels), rest)  # (bands, C)
        # peaks spread where a wide window smooths, so they are put on the other levels
        self.per_level = max(max_per_img // 2, 1)
        self.peak_levels = [i for i, side in enumerate(head.test_cfg.pool_sizes) if side <= 3]
        if num_objects > self.per_level * len(self.peak_levels):
            raise ValueError(
                f'test_cfg.max_per_img={max_per_img} allows {self.per_level} candidates on each '
                f'of {len(self.peak_levels)} levels, too few for {num_objects} objects'
            )

    def _thing_kernels(self, channels: int) -> Tensor:
        """(G, channels)."""
        nodes, spare = self.nodes, channels - 2 * self.nodes
        index = torch.arange(nodes)
        x1, y1, x2, y2 = self.boxes[:, :, None].unbind(1)
        inside = torch.cat([(y1 <= index) & (index < y2), (x1 <= index) & (index < x2)], 1)
        shape = torch.where(inside, INSIDE, OUTSIDE)
        direction = torch.randn(len(shape), spare, generator=torch.Generator().manual_seed(0))
        direction = nn.functional.normalize(direction) * shape.norm(dim=1, keepdim=True) * 2
        return torch.cat([shape, direction], 1)

    def _stuff_kernels(self, channels: int) -> Tensor:
        """(bands, channels)."""
        index = torch.arange(self.nodes) * self.num_stuff // self.nodes
        bands = index == torch.arange(self.num_stuff)[:, None]
        kernels = torch.zeros(self.num_stuff, channels)
        kernels[:, self.nodes : 2 * self.nodes] = torch.where(bands, 2 * INSIDE, -2 * INSIDE)
        return kernels

    def write(self, levels: list[LevelMaps], mask_feats: Tensor) -> None:
        """Overwrite the output of the head for N images, all alike."""
        places = levels[0].kernels.shape[1] - self.things.shape[1]  # which mask_feats lack here
        self.things, self.stuff = (
            nn.functional.pad(kernels, (0, places)) for kernels in (self.things, self.stuff)
        )
        for maps in levels:
            self._write_stuff(maps)
        for number, level in enumerate(self.peak_levels):
            start = number * self.per_level
            self._write_things(levels[level], slice(start, start + self.per_level))
        self._write_features(mask_feats)

    def _write_stuff(self, maps: LevelMaps) -> None:
        maps.centers.fill_(LOW)
        maps.regions.fill_(LOW)
        maps.kernels.zero_()
        width = maps.kernels.shape[-1]
        for channel, kernel in enumerate(self.stuff):
            start, stop = (width * (channel + i) // self.num_stuff for i in (0, 1))
            if stop > start:
                maps.regions[:, channel, :, start:stop] = PEAK
                # the head takes the mean over all columns, whatever their region
                kernel = kernel * width / (stop - start)
                maps.kernels[..., start:stop] = kernel.to(maps.kernels)[:, None, None]

    def _write_things(self, maps: LevelMaps, objects: slice) -> None:
        h, w = maps.centers.shape[-2:]
        boxes, labels = self.boxes[objects], self.labels[objects]
        centers = (boxes[:, :2] + boxes[:, 2:]) / (2 * self.nodes)
        columns = (centers[:, 0] * self.visible[1] * w).long()
        rows = (centers[:, 1] * self.visible[0] * h).long()
        labels, rows, columns = (x.to(maps.centers.device) for x in (labels, rows, columns))
        maps.centers[:, labels, rows, columns] = PEAK
        maps.regions[:, -1, rows, columns] = 2 * PEAK  # not stuff
        maps.kernels[:, :, rows, columns] = self.things[objects].T.to(maps.kernels)

    def _write_features(self, mask_feats: Tensor) -> None:
        mask_feats.zero_()
        generator = torch.Generator().manual_seed(0)
        for axis, visible in enumerate(self.visible):
            size = mask_feats.shape[2 + axis]
            position = (torch.arange(size) + 0.5) / size / visible * self.nodes - 0.5
            position = position.clamp(0, self.nodes - 1)
            for node in range(self.nodes):
                near = (1 - (position - node).abs()).clamp(min=0)
                near = near[:, None] if axis == 0 else near
                noise = torch.randn(mask_feats.shape[2:], generator=generator) * NOISE
                mask_feats[:, axis * self.nodes + node] = (near + noise).to(mask_feats)


def visible_share(model: nn.Module, size: tuple[int, int]) -> tuple[float, float]:
    """(height, width) of images of a size as shares of the padded input."""
    divisor = model.data_preprocessor.pad_size_divisor
    return tuple(side / (-(-side // divisor) * divisor) for side in size)


class FoundObjects:
    """Lets a PanopticFCN find ``num_objects`` in every image, while its network still runs.

    The embeddings are made to pass the first channels on, for good. The first output is overwritten
    and returned again for all later ones, so warm up once.
    Meanwhile ``test_cfg.max_per_img``, where it is less than ``num_objects``, is twice that number,
    so that the finest level can hold them all. ``visible`` is as of :class:`DrawnOutput`.
    """

    def __init__(self, model: nn.Module, num_objects: int, visible: tuple[float, float]) -> None:
        self._head, self._fusion_head = model.panoptic_head, model.panoptic_fusion_head
        self._limit = self._head.test_cfg.max_per_img
        if self._limit < num_objects:
            self._limit = 2 * num_objects
        self._drawn = DrawnOutput(self._head, num_objects, visible, self._limit)
        self._output = None
        generator = self._head.kernel_generator
        for embed in (generator.thing_embed, generator.stuff_embed):
            nn.init.eye_(embed.weight)
            nn.init.zeros_(embed.bias)

    @contextmanager
    def in_sight(self) -> Iterator[None]:
        """Predictions belong in here."""
        real = self._head.forward

        def forward(*args, **kwargs):
            output = real(*args, **kwargs)
            if self._output is None:
                self._drawn.write(*output)
                self._output = output
            return self._output

        with (
            patch.object(self._head.test_cfg, 'max_per_img', self._limit),
            patch.object(self._fusion_head.test_cfg, 'max_per_img', self._limit),
            patch.object(self._head, 'forward', forward),
        ):
            yield
