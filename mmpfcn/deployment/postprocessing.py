"""From the graph's output to a panoptic map, in numpy.

The rules are those of ``mmpfcn/models/kernel_fusion.py`` and ``fusion_head.py``.
"""

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import NamedTuple

import cv2
import numpy as np

from ..formats.coco_results import coco_instances

INSTANCE_OFFSET = 1000  # ids are ``label + instance * INSTANCE_OFFSET``, as mmdet's


class Kernels(NamedTuple):
    """Kernels of one image."""

    kernels: np.ndarray  # (K, E) embedded
    labels: np.ndarray  # (K,) whole numbers
    scores: np.ndarray  # (K,) in [0, 1]
    num_kernels: np.ndarray  # (K,) of how many each was fused


class MaskResizer(NamedTuple):
    """Resize the maps of one image: bilinear x 4, cut to the image, bilinear to the output."""

    map_shape: tuple[int, int]  # (H/4, W/4) of the padded input
    img_shape: tuple[int, int]  # (H, W) of the network's input without padding
    out_shape: tuple[int, int]  # (H, W) of the results

    def resize(self, values: np.ndarray) -> np.ndarray:
        """(H/4, W/4) float32 -> (H, W) of the output."""
        height, width = self.map_shape
        pixels = cv2.resize(values, (4 * width, 4 * height), interpolation=cv2.INTER_LINEAR)
        pixels = pixels[: self.img_shape[0], : self.img_shape[1]]
        return cv2.resize(pixels, self.out_shape[::-1], interpolation=cv2.INTER_LINEAR)


class Segments(NamedTuple):
    """Results of one image, see :class:`mmpfcn.formats.coco_results.Segmentation`."""

    panoptic_seg: np.ndarray  # (H, W) int32
    segments_info: list[dict]
    instances: list[dict] | None
    semantic_seg: np.ndarray  # (H, W) int16


def segment(
    output: Mapping[str, np.ndarray],
    meta: Mapping,
    resizer: MaskResizer,
    update: Callable[[Kernels, Kernels, np.ndarray], tuple[Kernels, Kernels]] | None = None,
    instances: bool = False,
) -> Segments:
    """From the graph's output for one image and the file's metadata to results.

    ``update`` gets the fused things and regions and mask_feats (E, H/4, W/4).
    """
    settings, mask_feats = meta['test_cfg'], output['mask_feats']
    things = find_things(output, settings)
    regions = find_regions(output, settings, meta['region_labels'])
    if update:
        things, regions = update(things, regions, mask_feats)
    things, probs = rescore(things, convolve_to_probs(things.kernels, mask_feats), settings)
    instance = place_things(probs, things.scores, resizer, settings)
    found = None
    if instances:
        masks = (resizer.resize(prob) > settings['mask_thr_binary'] for prob in probs)
        found = coco_instances(masks, things.labels, things.scores, meta['dataset_meta'])
    probs = convolve_to_probs(regions.kernels, mask_feats)
    sem_seg = semantic_map(regions, probs, len(meta['dataset_meta']['classes']), resizer)
    return Segments(*merge(instance, things, sem_seg, regions, meta), found, sem_seg)


def find_things(output: Mapping[str, np.ndarray], settings: Mapping) -> Kernels:
    """Kernels of the objects of one image, best first, fused, from ``thing_*`` of the graph."""
    scores = output['thing_scores']
    order = (-scores).argsort(kind='stable')
    order = order[scores[order] > settings['center_thr']]
    kernels = select(output['thing_kernels'], output['thing_labels'], scores, order)
    iou_thr, same_pixels = settings.get('fusion_iou_thr'), None  # files of before have none
    if iou_thr is not None:
        same_pixels = draw_same_pixels(kernels.kernels, output['mask_feats'], iou_thr)
    return fuse(kernels, settings['similarity_thr'], same_pixels)


def find_regions(
    output: Mapping[str, np.ndarray], settings: Mapping, region_labels: list[int]
) -> Kernels:
    """Kernels of the region classes of one image, one for each class, from ``region_*``.

    ``region_labels`` are of the channels of a level; those of all levels follow each other.
    """
    scores = output['region_scores']
    labels = np.tile(region_labels, len(scores) // len(region_labels))
    keep = scores > settings['region_thr']
    return fuse(select(output['region_kernels'], labels, scores, keep))


def convolve_to_probs(kernels: np.ndarray, mask_feats: np.ndarray) -> np.ndarray:
    """Mask probabilities: (K, E) x (E, H/4, W/4) -> (K, H/4, W/4)."""
    logits = kernels @ mask_feats.reshape(len(mask_feats), -1)
    with np.errstate(over='ignore'):  # exp(89) is inf, and its reciprocal 0
        return (1 / (1 + np.exp(-logits))).reshape(-1, *mask_feats.shape[1:])


def rescore(things: Kernels, probs: np.ndarray, settings: Mapping) -> tuple[Kernels, np.ndarray]:
    """Rescore by the mean probability inside the mask, keep the best, with their masks."""
    quality = np.zeros(len(probs), np.float32)
    for i, prob in enumerate(probs):
        inside = prob[prob > settings['mask_thr_binary']]
        quality[i] = inside.mean() if len(inside) else 0
    scores = things.scores * quality
    order = (-scores).argsort(kind='stable')[: settings['max_per_img']]
    order = order[scores[order] >= settings['score_thr']]
    kept = things._replace(scores=scores)
    return Kernels(*(values[order] for values in kept)), probs[order]


def place_things(
    probs: np.ndarray, scores: np.ndarray, resizer: MaskResizer, settings: Mapping
) -> np.ndarray:
    """(H, W) int32, i + 1 on the i-th thing: in score order, each takes what is still free."""
    instance = np.zeros(resizer.out_shape, np.int32)
    for i, (prob, score) in enumerate(zip(probs, scores, strict=True)):
        if score < settings['panoptic_score_thr']:
            break  # the others are no better
        mask = resizer.resize(prob) > settings['mask_thr_binary']
        free = mask & (instance == 0)
        area = np.count_nonzero(mask)
        taken = area - np.count_nonzero(free)
        if taken <= settings['mask_overlap'] * area:
            instance[free] = i + 1
    return instance


def semantic_map(
    regions: Kernels, probs: np.ndarray, none: int, resizer: MaskResizer
) -> np.ndarray:
    """(H, W) int16 label of the most probable region class; ``none`` where there is none."""
    labels = np.concatenate([[none], regions.labels]).astype(np.int16)
    nowhere = np.zeros((1, *probs.shape[1:]), probs.dtype)
    return best_labels(np.concatenate([nowhere, probs]), labels, resizer)


def merge(
    instance: np.ndarray, things: Kernels, sem_seg: np.ndarray, regions: Kernels, meta: Mapping
) -> tuple[np.ndarray, list[dict]]:
    """Things, then stuff that is large enough on the free part.

    Returns:
        (H, W) int32 ids, 0 is void, and ``segments_info`` as in ``mmpfcn.PanopticResult``.
    """
    classes, num_things = meta['dataset_meta']['classes'], meta['num_things_classes']
    void = len(classes)
    # one number for both: labels on the free part, behind them the things
    numbers = np.where(instance == 0, sem_seg, instance + void)
    areas = np.bincount(numbers.ravel(), minlength=void + 1 + len(things.labels)).tolist()
    ids, segments = np.zeros(len(areas), np.int32), []
    for number, thing in enumerate(_rows(things), void + 1):
        if areas[number]:
            ids[number] = thing['label'] + (len(segments) + 1) * INSTANCE_OFFSET
            segments.append((number, dict(thing, isthing=True)))
    for region in sorted(_rows(regions), key=itemgetter('label')):
        label = region['label']
        is_stuff = num_things <= label < void
        if is_stuff and areas[label] >= max(meta['test_cfg']['stuff_area_limit'], 1):
            ids[label] = label
            segments.append((label, dict(region, isthing=False)))
    return ids[numbers], [
        dict(
            info,
            id=int(ids[number]),
            name=classes[info['label']],
            score=round(info['score'], 6),
            area=areas[number],
            bbox=list(cv2.boundingRect((numbers == number).astype(np.uint8))),
        )
        for number, info in segments
    ]


def _rows(kernels: Kernels) -> list[dict]:
    columns = (x.tolist() for x in (kernels.labels, kernels.scores, kernels.num_kernels))
    return [
        dict(zip(('label', 'score', 'num_kernels'), row, strict=True))
        for row in zip(*columns, strict=True)
    ]


def select(
    kernels: np.ndarray, labels: np.ndarray, scores: np.ndarray, keep: np.ndarray
) -> Kernels:
    """The kernels at the places ``keep`` (numbers or bools), each made of one."""
    return Kernels(kernels[keep], labels[keep], scores[keep], np.ones(len(labels[keep]), int))


def fuse(
    kernels: Kernels, similarity_thr: float | None = None, same_pixels: np.ndarray | None = None
) -> Kernels:
    """Average kernels of the same class, things best first, that point the same way.

    ``similarity_thr`` is the least cosine similarity of kernels that become one; None joins all
    kernels of a class, which is the rule for stuff. Only pairs of ``same_pixels``, (K, K) bool of
    :func:`draw_same_pixels`, become one. Returns the fused kernels in the order of their first
    members; scores are the first member's, or the group's mean without ``similarity_thr``.
    """
    x, labels, scores, _ = kernels
    related = labels[:, None] == labels
    if similarity_thr is not None:
        direction = x / np.linalg.norm(x, axis=1, keepdims=True).clip(min=1e-12)
        related &= direction @ direction.T >= similarity_thr
    if same_pixels is not None:
        related &= same_pixels
    related = np.triu(related)
    np.fill_diagonal(related, True)  # a zero kernel is still similar to itself
    taken = related.cumsum(0)
    (first,) = (taken.diagonal() == 1).nonzero()
    members = (related & (taken == 1))[first]
    num_kernels = members.sum(1)
    weights = (members / num_kernels[:, None]).astype(x.dtype)
    scores = weights @ scores if similarity_thr is None else scores[first]
    return Kernels(weights @ x, labels[first], scores, num_kernels)


def draw_same_pixels(kernels: np.ndarray, mask_feats: np.ndarray, iou_thr: float) -> np.ndarray:
    """Whether the masks of two kernels overlap by ``iou_thr`` (intersection over union) or more.

    (K, E) x (E, h, w) -> (K, K) bool; False for kernels that draw nothing.
    """
    masks = (kernels @ mask_feats.reshape(len(mask_feats), -1) > 0).astype(np.float32)
    common, areas = masks @ masks.T, masks.sum(1)
    return common >= iou_thr * (areas[:, None] + areas - common).clip(min=1)


def best_labels(maps: np.ndarray, labels: np.ndarray, resizer: MaskResizer) -> np.ndarray:
    """Label of the map that is the greatest at a pixel, of equal ones the first.

    K >= 1 maps (K, H/4, W/4) -> (H, W) of the labels' type.
    """
    best = resizer.resize(maps[0])
    result = np.full(resizer.out_shape, labels[0])
    for values, label in zip(maps[1:], labels[1:], strict=True):
        values = resizer.resize(values)
        np.copyto(result, label, where=values > best)
        np.maximum(best, values, out=best)
    return result
