"""Ground truth of a panoptic PNG, decoded once; and how it reaches the model."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import PixelData

from ..formats.label_map import segment_areas, segment_index
from ..formats.panoptic_png import MAX_SEGMENTS, read_panoptic_png
from ..structures.segment_masks import SegmentMasks

VOID = 255  # semantic label of unlabelled pixels, mmdet's ``seg_pad_value``


@TRANSFORMS.register_module()
class LoadPanopticGroundTruth(BaseTransform):
    """Read a panoptic PNG once and look everything up in it.

    For a record of :class:`PanopticDataset` (or of mmdet's ``CocoPanopticDataset``) it gives what
    mmdet's ``LoadPanopticAnnotations`` gives, with boxes taken from the pixels. Crowds are no
    instances; the semantic map has their thing label. A record whose ``seg_map_path`` is None
    passes unchanged. Pixels whose id the JSON lacks become void and a segment without pixels is
    left out, each with a warning that names the file.

    Args:
        instances: add ``gt_masks`` (:class:`SegmentMasks`), ``gt_bboxes`` (G, 4),
            ``gt_bboxes_labels`` (G,) int64, ``gt_ignore_flags`` (G,) all False.
        semantic: add ``gt_seg_map`` (H, W) uint8 of labels, 255 for void.
        panoptic: add ``gt_panoptic_map`` (H, W) int32 and ``gt_panoptic_segments``, which
            :class:`PackPanopticInputs` turns into ``gt_panoptic_seg``.
        backend_args: of mmengine's file client.

    Raises:
        FileNotFoundError: there is no such PNG.
        ValueError: the PNG is cut off, of a wrong type, or its size is not the image's; a label
            from 255 on, or more than 65535 segments.
    """

    def __init__(
        self,
        instances: bool = True,
        semantic: bool = True,
        panoptic: bool = False,
        backend_args: dict | None = None,
    ) -> None:
        self.instances, self.semantic, self.panoptic = instances, semantic, panoptic
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        path, segments = results.get('seg_map_path'), results['segments_info']
        if path is None:
            return results
        _check_numbers(path, segments)
        ids = read_panoptic_png(path, self.backend_args)
        _check_size(ids.shape, results)
        index = segment_index(ids, [segment['id'] for segment in segments])
        areas = segment_areas(index, len(segments))
        _warn_about_ids(ids, index, areas, path, segments)
        if self.semantic:
            labels = [VOID, *(segment['category'] for segment in segments)]
            results['gt_seg_map'] = np.array(labels, np.uint8).take(index)
        if self.instances:
            rows = [i for i, s in enumerate(segments) if s['is_thing'] and areas[i + 1]]
            masks = SegmentMasks(index, [row + 1 for row in rows])
            results['gt_masks'] = masks
            results['gt_bboxes'] = masks.get_bboxes('hbox')
            results['gt_bboxes_labels'] = np.array([segments[i]['category'] for i in rows], int)
            results['gt_ignore_flags'] = np.zeros(len(rows), bool)
        if self.panoptic:
            infos = _encode(segments, areas[1:])
            values = [VOID, *(info['id'] for info in infos)]
            results['gt_panoptic_map'] = np.array(values, np.int32).take(index)
            results['gt_panoptic_segments'] = infos
        return results


def _check_numbers(path: str, segments: Sequence[dict]) -> None:
    label = max((segment['category'] for segment in segments), default=0)
    if label >= VOID:
        raise ValueError(
            f'{path} has a segment of the label {label}, expected at most {VOID - 1}, as {VOID} is '
            'void: choose fewer classes by metainfo=dict(thing_classes=..., stuff_classes=...)'
        )
    if len(segments) > MAX_SEGMENTS:
        raise ValueError(
            f'{path} has {len(segments)} segments, expected at most {MAX_SEGMENTS}: cut the image '
            'into tiles'
        )


def _check_size(size: tuple[int, int], results: dict) -> None:
    image_size = results.get('ori_shape') or (results['height'], results['width'])
    if size != tuple(image_size):
        raise ValueError(
            f'panoptic PNG {results["seg_map_path"]} is {size} (H, W), but the image '
            f'{results.get("img_path")} is {image_size}: make one of them anew (an image turned by '
            'its EXIF orientation is swapped: store it upright)'
        )


def _warn_about_ids(
    ids: np.ndarray, index: np.ndarray, areas: np.ndarray, path: str, segments: Sequence[dict]
) -> None:
    empty = [s['id'] for s, area in zip(segments, areas[1:], strict=True) if not area]
    if empty:
        warnings.warn(
            f'{path}: no pixel has the ids {empty[:5]} of {len(empty)} segments in the JSON; they '
            'are left out. Remove them from the JSON or mend the PNG',
            stacklevel=2,
        )
    if np.count_nonzero(ids) > ids.size - areas[0]:
        unknown = ids[(index == 0) & (ids != 0)]
        warnings.warn(
            f'{path}: {len(unknown)} pixels have ids without a segment in the JSON, such as '
            f'{unknown[0]}; they are void. Add the segment to the JSON or set them to 0',
            stacklevel=2,
        )


def _encode(segments: Sequence[dict], areas: np.ndarray) -> list[dict]:
    """Segments with ids that tell the label: label + n * INSTANCE_OFFSET."""
    counts: dict[int, int] = {}
    infos = []
    for segment, area in zip(segments, areas.tolist(), strict=True):
        label, thing = segment['category'], segment['is_thing']
        crowd = segment.get('iscrowd', False)
        id_ = label + counts.setdefault(label, int(thing or crowd)) * INSTANCE_OFFSET
        counts[label] += 1
        infos.append(dict(id=id_, label=label, isthing=thing, iscrowd=crowd, area=area))
    return infos


@TRANSFORMS.register_module()
class PackPanopticInputs(PackDetInputs):
    """mmdet's ``PackDetInputs`` with the panoptic ground truth beside the rest.

    Adds ``gt_panoptic_seg`` to the data sample if :class:`LoadPanopticGroundTruth` read it:
    ``sem_seg`` (1, H, W) int32 at the size of the file, ``label + n * INSTANCE_OFFSET`` (n counts
    the segments of a label, from 1 for things and crowds, from 0 for stuff) and 255 for void. Its
    metainfo: ``ignore_index`` 255, and ``segments_info`` with ``id`` in the map, ``label``,
    ``isthing`` (False for crowds), ``iscrowd`` and ``area`` in pixels of each segment, in the order
    of the JSON.

    Raises:
        ValueError: transforms left the semantic map or the masks at another size than the image,
            or the semantic map does not have the objects of the masks.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip',
            'flip_direction', 'seg_map_path', 'seg_file_name', 'segments_info',
        ),
    ) -> None:  # fmt: skip
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict) -> dict:
        _check_sizes_after(results)
        _check_labels_after(results)
        packed = super().transform(results)
        if 'gt_panoptic_map' in results:
            gt = PixelData(sem_seg=torch.from_numpy(results['gt_panoptic_map'][None]))
            gt.set_metainfo(dict(ignore_index=VOID, segments_info=results['gt_panoptic_segments']))
            packed['data_samples'].gt_panoptic_seg = gt
        return packed


def _check_sizes_after(results: dict) -> None:
    """Of the semantic map and the masks, which the transforms should have changed as the image.

    Only of what is trained on: to be measured, the ground truth stays at the size of the file.
    """
    if 'img' not in results or 'gt_masks' not in results:
        return
    seg_map, masks = results.get('gt_seg_map'), results['gt_masks']
    size = results['img'].shape[:2]
    sizes = dict(
        gt_seg_map=size if seg_map is None else seg_map.shape[:2],
        gt_masks=(masks.height, masks.width) if masks else size,
    )
    for key, other in sizes.items():
        if other != size:
            raise ValueError(
                f'{key} of {results.get("img_path")} is {other} (H, W) behind the transforms, the '
                f'image is {size}: a transform changes only one of them (SegRescale, Mosaic, '
                'MixUp, RandomAffine do): leave it out of the pipeline'
            )


def _check_labels_after(results: dict, step: int = 4, min_pixels: int = 8) -> None:
    """Most pixels of a mask have its label in the semantic map; of each ``step``-th pixel."""
    seg_map, masks = results.get('gt_seg_map'), results.get('gt_masks')
    if seg_map is None or not isinstance(masks, BitmapMasks):
        return
    if len(masks) != len(results['gt_bboxes_labels']):
        raise ValueError(
            f'{results.get("img_path")} has {len(results["gt_bboxes_labels"])} boxes, but '
            f'{len(masks)} masks behind the transforms: one of them mixes images and leaves masks '
            'and semantic map behind, as Mosaic and MixUp do: leave it out of the pipeline'
        )
    if not len(masks):
        return
    if isinstance(masks, SegmentMasks):
        shown = SegmentMasks(masks.index_map[::step, ::step], masks.values).masks
    else:
        shown = masks.masks[:, ::step, ::step]
    labels = np.asarray(results['gt_bboxes_labels'])[:, None, None]
    seg_map, shown = seg_map[::step, ::step], shown.astype(bool)
    wrong = (shown & (seg_map != labels) & (seg_map != VOID)).sum((1, 2))
    pixels = shown.sum((1, 2))
    bad = np.flatnonzero((pixels >= min_pixels) & (2 * wrong > pixels))
    if len(bad):
        raise ValueError(
            f'{len(bad)} of {len(masks)} masks of {results.get("img_path")} have another label in '
            f'gt_seg_map, such as the one of label {labels[bad[0], 0, 0]}: a transform that mixes '
            'images leaves the semantic map behind. Behind CopyPaste add dict(type="PaintThings"); '
            'leave MixUp, CachedMixUp and the like out of the pipeline'
        )


@TRANSFORMS.register_module()
class PaintThings(BaseTransform):
    """Give the pixels of all masks their label in the semantic map, for use behind ``CopyPaste``.

    mmdet's ``CopyPaste`` pastes objects into the image and the masks, not into the semantic map.
    Changes ``gt_seg_map`` (H, W) uint8.
    """

    def transform(self, results: dict) -> dict:
        seg_map = results['gt_seg_map'].copy()
        labels = results['gt_bboxes_labels'].tolist()
        for mask, label in zip(results['gt_masks'].masks, labels, strict=True):
            seg_map[mask.astype(bool)] = label
        results['gt_seg_map'] = seg_map
        return results
