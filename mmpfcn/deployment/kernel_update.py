"""The update of kernels, a graph of its own: it comes after their fusion, which is in no graph."""

from base64 import b64decode

import numpy as np

from .postprocessing import Kernels
from .runtimes import Run

UPDATE_KEY = 'mmpfcn_kernel_update'  # of the metadata: the graph, an ONNX model in base64
UPDATE_INPUTS = ('kernels', 'labels', 'scores', 'mask_feats')
UPDATE_OUTPUTS = ('kernels_out', 'scores_out')


def read_update(metadata: dict[str, str]) -> bytes | None:
    """The graph in the metadata of a model; None where there is none."""
    return b64decode(metadata[UPDATE_KEY]) if UPDATE_KEY in metadata else None


def update_kernels(
    run: Run, things: Kernels, regions: Kernels, mask_feats: np.ndarray
) -> tuple[Kernels, Kernels]:
    """Other kernels and scores, by mask_feats (E, H/4, W/4), for the fused things and regions of
    one image, whose order stays.
    """
    num_things = len(things.labels)
    both = (np.concatenate(pair) for pair in zip(things[:3], regions[:3], strict=True))
    values = dict(zip(UPDATE_INPUTS, (*both, mask_feats), strict=True))
    values['labels'] = values['labels'].astype(np.int64)
    kernels, scores = map(run(values).get, UPDATE_OUTPUTS)
    return (
        things._replace(kernels=kernels[:num_things], scores=scores[:num_things]),
        regions._replace(kernels=kernels[num_things:], scores=scores[num_things:]),
    )
