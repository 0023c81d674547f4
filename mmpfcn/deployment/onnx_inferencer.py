"""Panoptic FCN without torch: what ``PanopticInferencer`` does, by ONNX Runtime or OpenVINO."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..formats.batches import LoadedImage, padded_shape, read_batches, told
from ..formats.coco_results import Segmentation
from ..formats.inputs import list_inputs
from ..formats.pixels import PixelRule, preview
from ..formats.read_image import ImageSource
from .images import normalize, resize
from .kernel_update import read_update, update_kernels
from .postprocessing import MaskResizer, Segments, segment
from .runtimes import load_graph
from .weights import read_properties, require_finite_weights

METADATA_KEY = 'mmpfcn'
QUANTIZED_KEY = 'mmpfcn_quantized'  # of the metadata: how the graph was quantised
FORMAT = 1  # of the metadata and of the graph's outputs

EXTENDED_FORMAT = 2
"""With what earlier versions leave out: an update of kernels, ``scale_factor``, ``pixels``."""

NEEDED = frozenset(
    'dataset_meta num_things_classes region_labels test_cfg scale keep_ratio mean std bgr_to_rgb '
    'pad_size_divisor'.split()
)
"""Metadata of every file."""


class OnnxInferencer:
    """A model that ``tools/deployment/export_onnx.py`` wrote, on images.

        inferencer = OnnxInferencer('r50_coco.onnx')
        result = inferencer('photo.jpg')['predictions'][0]

    The file holds all it needs: classes, thresholds, sizes.

    ``meta`` are the metadata of the file, see docs/deployment.md; ``meta['test_cfg']`` are the
    thresholds and may be changed.

    Args:
        path: of the .onnx file; FileNotFoundError where it is not there, ValueError for no ONNX
            model, none that the tool of this version wrote, or weights that are not finite.
        providers: of ONNX Runtime; CUDA where it is there, else the CPU.
        threads: inside an operator; None for one on each core that the process may use, or
            ``OMP_NUM_THREADS``.
        runtime: ``'onnxruntime'`` or ``'openvino'``, which is for CPUs; ImportError where it is not
            installed.
        precision: ``'f32'``; ``'bf16'``, in OpenVINO; ``'int8'`` and ``'f16'`` for files of
            ``mmpfcn quantize``, where OpenVINO computes what is not int8 in bfloat16. None: that of
            the file.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
        runtime: str = 'onnxruntime',
        precision: str | None = None,
    ) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f'model {path} is not there (looked for in {Path.cwd()})')
        properties = read_properties(path)
        made = file_precision(properties)
        precision = precision or made
        if precision != made and {precision, made} & {'int8', 'f16'}:
            found, advice = 'quantised', f'give the exported file, or precision={made!r}'
            if made == 'f32':
                found, advice = 'not quantised', 'quantise it by "mmpfcn quantize"'
                advice += ' --precision f16' * (precision == 'f16')
            raise ValueError(f'precision={precision!r}, but {path} is {found}: {advice}')
        load = partial(load_graph, path, runtime, threads=threads, providers=providers)
        self.run_graph = load(precision)
        self.meta = read_metadata(properties, path)
        self.rule = PixelRule(**self.meta.get('pixels', {}))
        require_finite_weights(path)
        update = read_update(properties)
        self.run_update = update and load('f32', content=update)
        if update:
            require_finite_weights(path, update)

    @property
    def dataset_meta(self) -> Mapping:
        """``classes``, ``thing_classes``, and palette and category ids where known."""
        return self.meta['dataset_meta']

    def __call__(
        self,
        inputs: ImageSource | Iterable[ImageSource],
        batch_size: int = 1,
        instances: bool = False,
        semantic: bool = False,
    ) -> dict:
        """Predict all of them, see :meth:`stream`.

        Returns:
            ``predictions``: list of :class:`Segmentation`; ``failures``: list of (name, message) of
            images that can not be used.
        """
        failures: list[tuple[str, str]] = []
        predictions = list(self.stream(inputs, batch_size, failures, instances, semantic))
        return dict(predictions=predictions, failures=failures)

    def stream(
        self,
        inputs: ImageSource | Iterable[ImageSource],
        batch_size: int = 1,
        failures: list[tuple[str, str]] | None = None,
        instances: bool = False,
        semantic: bool = False,
    ) -> Iterator[Segmentation]:
        """Results one by one, with the memory of one batch.

        Args:
            inputs: see :func:`mmpfcn.formats.list_inputs`: images, folders, addresses, videos.
            batch_size: images of one padded size that follow each other are computed at once. The
                results do not depend on it.
            failures: (name, message) of every image that can not be used is appended; without a
                list the first one is raised.
            instances: return overlapping instances as well; takes pycocotools.
            semantic: return the semantic map as well.
        """
        failed = None if failures is None else lambda x: failures.append((x.name, x.message))
        images = list_inputs(inputs)
        for batch in read_batches(images, self.prepare, batch_size, failed, self.rule):
            outputs = self.run_network([loaded.data for loaded in batch])
            for i, loaded in enumerate(batch):
                with told(loaded.input, failed):
                    output = {key: x[i] for key, x in outputs.items()}
                    yield self._result(loaded, output, instances, semantic)

    def run_network(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The graph's outputs for images of one padded size, (h, w, C) as ``self.rule`` has it."""
        return self.run_graph({'image': normalize(images, self.meta)})

    def finish(
        self,
        output: Mapping[str, np.ndarray],
        img_shape: tuple,
        ori_shape: tuple,
        instances: bool = False,
    ) -> Segments:
        """The rest for one image.

        ``output`` is the graph's without the batch axis, ``img_shape`` (H, W) of its input without
        padding, ``ori_shape`` of the result. NaN or infinite numbers raise ValueError.
        """
        if not all(np.isfinite(values.sum()) for values in output.values()):
            raise ValueError(
                'the network gave NaN or an infinite number, expected finite scores, kernels and '
                'mask_feats: export the checkpoint again, or an earlier one'
            )
        resizer = MaskResizer(output['mask_feats'].shape[1:], img_shape, ori_shape)
        update = self.run_update and partial(update_kernels, self.run_update)
        return segment(output, self.meta, resizer, update, instances)

    def prepare(self, image: np.ndarray, name: str) -> tuple[np.ndarray, tuple[int, int]]:
        """An image (H, W, 3) uint8 BGR resized for the network, and its padded shape."""
        resized = resize(image, self.meta, name)
        return resized, padded_shape(resized.shape[:2], self.meta['pad_size_divisor'])

    def _result(
        self,
        loaded: LoadedImage,
        output: Mapping[str, np.ndarray],
        instances: bool,
        semantic: bool,
    ) -> Segmentation:
        (name, stem, _), image, resized, _ = loaded
        found = self.finish(output, resized.shape[:2], image.shape[:2], instances)
        rgb, sem_seg = np.ascontiguousarray(preview(image)[..., ::-1]), found.semantic_seg
        maps = found.panoptic_seg, found.segments_info, self.dataset_meta, found.instances
        return Segmentation(name, stem, rgb, *maps, sem_seg if semantic else None)


def file_precision(properties: Mapping[str, str]) -> str:
    """``'int8'`` or ``'f16'`` of a file that ``mmpfcn quantize`` wrote, else ``'f32'``."""
    facts = properties.get(QUANTIZED_KEY)
    return 'f32' if facts is None else 'f16' if 'f16' in facts else 'int8'


def read_metadata(properties: Mapping[str, str], path: str | os.PathLike) -> dict:
    """What the exporter wrote about a model; ValueError for nothing or that of another version."""
    text = properties.get(METADATA_KEY)
    try:
        meta = dict(json.loads(text or '{}'))
    except (TypeError, ValueError):  # another program's
        meta = {}
    if meta.get('format') not in (FORMAT, EXTENDED_FORMAT) or NEEDED - meta.keys():
        found = f'format {meta.get("format")} of mmpfcn {meta.get("version")}' if meta else 'none'
        raise ValueError(
            f'{path} has no metadata of format {FORMAT} under {METADATA_KEY!r} (found: {found}): '
            'export the checkpoint again with tools/deployment/export_onnx.py of this version'
        )
    return meta
