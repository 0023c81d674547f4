"""An exported model in ONNX Runtime or OpenVINO, measured beside the others."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mmpfcn.commands.export.network import ExportNetwork
from mmpfcn.deployment.images import normalize
from mmpfcn.deployment.onnx_inferencer import OnnxInferencer, file_precision
from mmpfcn.deployment.postprocessing import INSTANCE_OFFSET
from mmpfcn.deployment.weights import read_properties

from .candidates import Candidate
from .drawn_output import FoundObjects, visible_share
from .runs import Setting
from .scenes import image_batch
from .stages import StageClock


def runs_of(path: str, openvino: bool) -> dict[str, dict]:
    """Names of the ways to run a file, and the arguments of :class:`OnnxInferencer`."""
    stem, made = Path(path).stem, file_precision(read_properties(path))
    ways = {f'{stem}, ONNX Runtime': dict(runtime='onnxruntime')}
    for precision in ('f32', 'bf16') if made == 'f32' else (made,):
        if openvino:
            given = dict(runtime='openvino', precision=precision)
            ways[f'{stem}, OpenVINO {precision}'] = given
    return ways


def onnx_candidates(
    paths: Sequence[str], config: Candidate, openvino: bool = False
) -> list[Candidate]:
    """Of each file; ``config`` says what can be found in the images."""
    return [
        replace(config, name=name, onnx=path, **given)
        for path in paths
        for name, given in runs_of(path, openvino).items()
    ]


class OnnxPrediction:
    """Preprocessing, graph and post-processing of :class:`OnnxInferencer`, on given objects.

    The graph of the .onnx file runs as it is; then its output is replaced by what it would be for
    the drawn maps that the PyTorch model, which also gives the thresholds, is given.
    """

    def __init__(self, candidate: Candidate, model: nn.Module, setting: Setting) -> None:
        self.setting = setting
        self.inferencer = OnnxInferencer(
            candidate.onnx,
            threads=torch.get_num_threads(),
            runtime=candidate.runtime,
            precision=candidate.precision,
        )
        batch = image_batch(setting.size, setting.out_size, setting.batch_size)
        self.images = [image.permute(1, 2, 0).numpy() for image in batch['inputs']]
        visible = visible_share(model, setting.size)
        objects = FoundObjects(model.eval(), setting.num_objects, visible)
        with torch.no_grad(), objects.in_sight():
            data = model.data_preprocessor(batch)
            maps = model.panoptic_head(model.extract_feat(data['inputs']))
            network = ExportNetwork(model)
            drawn = network.find_kernels(*maps)._asdict()
            self.drawn = {name: values.numpy() for name, values in drawn.items()}
            self.inferencer.meta.update(
                test_cfg=asdict(network.settings), region_labels=model.panoptic_head.region_labels
            )

    def run(self) -> list[np.ndarray]:
        return self.watched_run(StageClock(torch.device('cpu')))

    def watched_run(self, clock: StageClock) -> list[np.ndarray]:
        with clock.stage('preprocess'):
            batch = normalize(self.images, self.inferencer.meta)
        with clock.stage('graph'):
            self.inferencer.run_graph({'image': batch})
        outputs = [
            {name: values[i] for name, values in self.drawn.items()} for i in range(len(batch))
        ]
        sizes = self.setting.size, self.setting.out_size
        with clock.stage('post-processing'):
            return [self.inferencer.finish(output, *sizes)[0] for output in outputs]

    def num_found(self) -> int:
        return int((np.unique(self.run()[0]) >= INSTANCE_OFFSET).sum())
