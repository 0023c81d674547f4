"""One object that turns images of any kind into panoptic results."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.registry import MODELS, init_default_scope
from rich.progress import track
from torch import nn

from ..datasets.load_image import configured_rule, require_rule
from ..engine import accelerate_inference
from ..formats.batches import LoadedImage, padded_shape, read_batches, told
from ..formats.coco_results import written
from ..formats.inputs import Failure, Input, list_files, list_inputs
from ..formats.pixels import PixelRule, preview
from ..formats.read_ahead import read_ahead
from ..formats.read_image import ImageSource
from ..models.input_channels import require_input
from ..models.relative_position import num_place_channels
from ..models.settings import InferenceSettings, read_settings
from ..structures import LevelMaps, NetworkOutput, Tracker
from .checkpoint import config_of, load_weights, read_checkpoint
from .configs import PREFIX, inference_pipeline, model_index, read_config, without_readers
from .dataset_meta import find_dataset_meta
from .large_images import predict_large
from .panoptic_result import PanopticResult


def build_model(cfg: Config, meta: Mapping) -> nn.Module:
    """The model of a config, with ``dataset_meta`` from a checkpoint's ``meta`` or the config.

    Raises TypeError for one that is no Panoptic FCN.
    """
    model = MODELS.build(cfg.model)
    if not hasattr(getattr(model, 'panoptic_head', None), 'predict_by_feat'):
        raise TypeError(
            f'the model of the config is a {type(model).__name__} without PanopticFCNHead: '
            'PanopticInferencer is for Panoptic FCN'
        )
    model.dataset_meta = find_dataset_meta(
        meta, cfg, model.num_things_classes, model.num_stuff_classes
    )
    return model


class PanopticInferencer(BaseInferencer):
    """Panoptic FCN on images: paths, addresses, arrays, PIL images, folders, patterns, videos.

    Its use::

        inferencer = PanopticInferencer('configs/panoptic_fcn/r50_coco.py', 'weights.pth')
        result = inferencer('photo.jpg')['predictions'][0]

    It follows mmengine's ``BaseInferencer`` and mmdet's ``DetInferencer``, but gives segments with
    names, scores and boxes, needs no annotations, and does not run code from the checkpoint.

    Args:
        model: config, its path, or a name of the model index (``r50_coco``); None for the config in
            the checkpoint.
        weights: what :meth:`from_pretrained` takes. None for random ones, with a warning.
        device: such as ``cuda:0``; None for the best there is.
        scope: mmengine's scope of registries.
        show_progress: show a progress bar in calls.
        accelerate: on a CPU, see :func:`mmpfcn.accelerate_inference`: faster, for more memory;
            results differ by rounding.

    Raises:
        FileNotFoundError: there is no such config or checkpoint.
        ValueError: no model of this name, an unusable checkpoint, or one of another model.
        TypeError: the config's model is no Panoptic FCN.
    """

    def __init__(
        self,
        model: str | Config | ConfigDict | None = None,
        weights: str | None = None,
        device: str | None = None,
        scope: str = 'mmdet',
        show_progress: bool = True,
        accelerate: bool = True,
    ) -> None:
        init_default_scope(scope)
        if isinstance(model, Path):
            model = str(model)
        if isinstance(model, str) and (model.startswith(PREFIX) or Path(model).is_file()):
            model = read_config(model)
        super().__init__(model, weights, device, scope, show_progress)
        if accelerate and next(self.model.parameters()).device.type == 'cpu':
            accelerate_inference(self.model)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, device: str | None = None, show_progress: bool = True
    ) -> 'PanopticInferencer':
        """A published model: weights, config and class names come together, and none runs code.

        Args:
            name: a folder that ``mmpfcn publish`` wrote; a checkpoint with its config, as a file
                (.safetensors, .pth) or address; a repository of the Hugging Face Hub,
                ``hf://user/name`` or ``hf://user/name@revision``; or ``published/r50_coco_3x`` and
                the like (docs/migration.md).
            device, show_progress: as of the class.

        Raises:
            FileNotFoundError: there is no such file or folder; says where to get it.
            ValueError: no config comes with it, it can not be downloaded, or is no such model.
        """
        return cls(None, str(name), device, show_progress=show_progress)

    def _load_model_from_metafile(self, model: str) -> tuple[Config, str | None]:
        index = model_index()
        if model not in index:
            near = get_close_matches(model, index, 3)
            hint = f'did you mean {" or ".join(near)}?' if near else f'known: {", ".join(index)}'
            raise ValueError(
                f'{model} is neither a config file (looked for in {Path.cwd()}) nor a model of the '
                f'model index: {hint}'
            )
        return read_config(index[model]['Config']), index[model].get('Weights') and model

    def _init_model(self, cfg: Config, weights: str | None, device: str = 'cpu') -> nn.Module:
        checkpoint = dict(meta={}) if weights is None else read_checkpoint(weights)
        if not cfg:
            cfg.update(config_of(checkpoint, weights))
        for source in ('init_cfg', 'pretrained', 'checkpoint'):
            cfg.model.backbone.pop(source, None)  # nothing is fetched that the checkpoint replaces
        model = build_model(cfg, checkpoint.get('meta', {}))
        if weights is None:
            model.init_weights()
            self._load_weights_to_model(model, None, None)  # warns
        else:
            load_weights(model, checkpoint['state_dict'], weights)
        return model.to(device).eval()

    def _init_pipeline(self, cfg: Config) -> Compose:
        """The test pipeline without what reads files: images come from :func:`read_image`.

        By the rule of its ``LoadImage``, :attr:`rule`.
        """
        steps = inference_pipeline(cfg)
        self.rule = configured_rule(steps)
        pipeline = Compose(without_readers(steps))
        require_rule(self.rule, pipeline.transforms)
        require_input(self.model, self.rule)
        return pipeline

    def _init_collate(self, cfg: Config) -> Callable:
        return pseudo_collate

    def _init_visualizer(self, cfg: Config) -> None:
        return None  # results draw themselves

    @property
    def dataset_meta(self) -> Mapping:
        """``classes``, ``thing_classes``, ``stuff_classes`` and, if known, palette and ids."""
        return self.model.dataset_meta

    @property
    def settings(self) -> InferenceSettings:
        """The thresholds of the config."""
        return self.model.panoptic_head.test_cfg

    def heads(self, changes: Mapping[str, Any]) -> tuple[nn.Module, nn.Module]:
        """Head and fusion head with other settings; weights are shared, the model stays as it is.

        ``changes`` to the config's :class:`InferenceSettings`; an unknown one raises ValueError,
        which names the nearest known one.
        """
        settings = {**asdict(self.settings), **changes}
        settings = read_settings(InferenceSettings, 'thresholds', settings)
        heads = copy.copy(self.model.panoptic_head), copy.copy(self.model.panoptic_fusion_head)
        for head in heads:
            head.test_cfg = settings
        return heads

    def preprocess(
        self,
        inputs: Iterable[Input],
        batch_size: int = 1,
        failures: list[Failure] | None = None,
        rule: PixelRule | None = None,
    ) -> Iterator[list[LoadedImage]]:
        """Images in batches, see :func:`read_batches`; ``failures`` as of :meth:`stream`. ``rule``
        is another than the test pipeline's, for parts of an image.
        """
        failed = None if failures is None else failures.append
        return read_batches(inputs, self._prepare, batch_size, failed, rule or self.rule)

    def _prepare(self, image: np.ndarray, name: str) -> tuple[dict, tuple[int, int]]:
        shape = image.shape[:2]
        try:
            data = self.pipeline(dict(img=image, img_path=name, img_shape=shape, ori_shape=shape))
        except cv2.error as error:
            raise ValueError(
                f'{name} is {shape[1]} x {shape[0]} pixels and nothing is left of its shorter side '
                'after the resizing of the test pipeline: crop it'
            ) from error
        divisor = self.model.data_preprocessor.pad_size_divisor
        return data, padded_shape(data['inputs'].shape[-2:], divisor)

    @torch.no_grad()
    def forward(self, inputs: Sequence[LoadedImage]) -> list[NetworkOutput]:
        """The network on one batch of :meth:`preprocess`."""
        data = self.collate_fn([loaded.data for loaded in inputs])
        data = self.model.data_preprocessor(data, False)
        levels, mask_feats = self.model.panoptic_head(self.model.extract_feat(data['inputs']))
        return [
            NetworkOutput(
                loaded.input,
                np.ascontiguousarray(preview(loaded.image)[..., ::-1]),
                [LevelMaps(*(maps[i : i + 1] for maps in level)) for level in levels],
                mask_feats[i : i + 1],
                sample,
            )
            for i, (loaded, sample) in enumerate(zip(inputs, data['data_samples'], strict=True))
        ]

    def run_network(self, image: ImageSource) -> NetworkOutput:
        """The expensive part for one image; :meth:`finish` is the rest, with any thresholds."""
        (batch,) = self.preprocess(list_inputs(image))
        return self.forward(batch)[0]

    @torch.no_grad()
    def finish(
        self,
        output: NetworkOutput,
        instances: bool = False,
        semantic: bool = False,
        **thresholds: Any,
    ) -> PanopticResult:
        """From the network's output to segments; several threads may do so at once.

        Args:
            output: of :meth:`run_network`.
            instances: return overlapping instances as well.
            semantic: return the semantic map as well.
            **thresholds: see :meth:`heads`.
        """
        head, fusion = self.heads({**thresholds, 'instance_on': instances, 'semantic_on': semantic})
        things, regions = head.predict_by_feat(output.levels, output.mask_feats)
        results = fusion.predict(things, regions, [output.data_sample])
        # a new one: a shallow copy would share its set of fields with the output's
        sample = DetDataSample(metainfo=output.data_sample.metainfo)
        (sample,) = self.model.add_pred_to_datasample([sample], results)
        name, stem, _ = output.input
        result = PanopticResult.from_data_sample(
            sample, name, stem, output.image, self.dataset_meta
        )
        kernels = sample.pred_panoptic_seg.metainfo['segment_kernels']
        appearance = kernels.shape[1] - num_place_channels(head.feature_encoder)
        result.kernels = kernels[:, :appearance].cpu().numpy()
        return result

    def stream(
        self,
        inputs: ImageSource | Iterable[ImageSource] | Iterator[Input],
        batch_size: int = 1,
        instances: bool = False,
        semantic: bool = False,
        failures: list[Failure] | None = None,
    ) -> Iterator[PanopticResult]:
        """Results one by one, for videos and large folders: two batches are read ahead.

        Args:
            inputs: see :func:`list_inputs`, or what it yields.
            batch_size: images of one padded size that follow each other are computed at once. The
                results depend on it by rounding only.
            instances, semantic: see :meth:`finish`.
            failures: what is wrong with every image that can not be used is appended; without a
                list the first error is raised.

        Raises:
            FileNotFoundError, ValueError, TypeError: an image can not be used, or there is none.
        """
        failed = None if failures is None else failures.append
        batches = self.preprocess(list_inputs(inputs), batch_size, failures)
        with closing(read_ahead(batches)) as batches:
            for output in (output for batch in batches for output in self.forward(batch)):
                with told(output.input, failed):
                    yield self.finish(output, instances, semantic)

    large = predict_large

    def track(
        self,
        inputs: ImageSource | Iterable[ImageSource] | Iterator[Input],
        instances: bool = False,
        tracker: Tracker | None = None,
    ) -> Iterator[PanopticResult]:
        """:meth:`stream` of the frames of one video, whose things keep their ids and numbers.

        Frame by frame: rounding differs with the size of a batch, and a track goes on from it.
        ``tracker`` knows what was before, such as one of :meth:`Tracker.from_state`; None begins
        anew. The results are those of :meth:`PanopticResult.follow`.
        """
        tracker = tracker or Tracker()
        for result in self.stream(inputs, instances=instances):
            result.follow(tracker)
            yield result

    def __call__(
        self,
        inputs: ImageSource | Iterable[ImageSource],
        batch_size: int = 1,
        out_dir: str | Path = '',
        return_vis: bool = False,
        no_save_vis: bool = False,
        instances: bool = False,
        semantic: bool = False,
    ) -> dict:
        """Results of all inputs at once. For many images or a video use :meth:`stream`.

        An image that can not be used does not stop the others.

        Args:
            inputs: see :func:`list_inputs`, which raises ValueError where there is none.
            batch_size: see :meth:`stream`.
            out_dir: folder to write ``panoptic/*.png``, ``panoptic.json`` (COCO's panoptic format)
                and, unless ``no_save_vis``, the pictures ``vis/*.jpg`` to; or OSError.
            return_vis: return the pictures.
            no_save_vis: write no pictures to ``out_dir``.
            instances, semantic: see :meth:`finish`; with ``out_dir`` the former are also written
                to ``instances.json``.

        Returns:
            ``predictions``: list of :class:`PanopticResult`; ``visualization``: list of
            (H, W, 3) uint8 RGB pictures, empty without ``return_vis``; ``failures``: list of
            :class:`Failure`.
        """
        failures: list[Failure] = []
        inputs = list_files(inputs, out_dir or None)
        results = self.stream(inputs, batch_size, instances, semantic, failures)
        if self.show_progress:
            results = track(results, description='Inference', total=None)
        if out_dir:
            draw = partial(PanopticResult.write_picture, folder=Path(out_dir))
            others = () if no_save_vis else (draw,)
            results = written(results, Path(out_dir), self.dataset_meta, *others)
        return self.postprocess(results, return_vis, failures)

    def visualize(self, inputs: Sequence[PanopticResult]) -> list[np.ndarray]:
        """A picture of each result with a legend, see :meth:`PanopticResult.draw`."""
        return [result.draw(legend=True) for result in inputs]

    def postprocess(
        self, preds: Iterable[PanopticResult], return_vis: bool, failures: list[Failure]
    ) -> dict:
        """What a call returns."""
        predictions = list(preds)
        pictures = self.visualize(predictions) if return_vis else []
        return dict(predictions=predictions, visualization=pictures, failures=failures)
