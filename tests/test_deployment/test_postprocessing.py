"""A drawn merge with the expected ids; whole results: test_onnx_inferencer.py."""

import numpy as np
import torch

from mmpfcn.deployment.postprocessing import Kernels, convolve_to_probs, merge, rescore

META = dict(
    dataset_meta=dict(classes=['cat', 'dog', 'sky', 'sea']), num_things_classes=2,
    test_cfg=dict(stuff_area_limit=2),
)  # fmt: skip


def kernels(labels: list[int], scores: list[float]) -> Kernels:
    ones = np.ones(len(labels), int)
    return Kernels(np.zeros((len(labels), 1)), np.array(labels), np.array(scores), ones)


def test_probabilities_and_rescoring():
    torch.manual_seed(0)
    x, feats = torch.randn(5, 8) * 20, torch.randn(8, 6, 7)
    expected = torch.einsum('ke,ehw->khw', x, feats).sigmoid()
    np.testing.assert_allclose(convolve_to_probs(x.numpy(), feats.numpy()), expected, atol=1e-5)
    probs = np.array([[[0.6, 0.8]], [[0.9, 0.1]], [[0.2, 0.1]]], np.float32)
    settings = dict(mask_thr_binary=0.5, max_per_img=2, score_thr=0.1)
    things, kept = rescore(kernels([0, 1, 0], [0.5, 0.5, 0.9]), probs, settings)
    assert things.labels.tolist() == [1, 0]  # the third is nowhere above the threshold
    np.testing.assert_allclose(things.scores, [0.45, 0.35], atol=1e-6)
    assert np.array_equal(kept, probs[[1, 0]])


def test_things_before_stuff_that_is_large_enough():
    instance = np.array([[1, 1, 0, 0, 0], [2, 0, 0, 0, 0]], np.int16)
    sem_seg = np.array([[2, 2, 2, 3, 4], [2, 2, 2, 0, 0]], np.int16)  # 4: nothing, 0: any thing
    ids, segments = merge(instance, kernels([1, 0], [0.9, 0.8]), sem_seg, kernels([3, 2], [0.7, 0.6]), META)
    assert ids.tolist() == [[1001, 1001, 2, 0, 0], [2000, 2, 2, 0, 0]]
    found = [(s['id'], s['name'], s['isthing'], s['area'], s['bbox']) for s in segments]
    assert found == [
        (1001, 'dog', True, 2, [0, 0, 2, 1]), (2000, 'cat', True, 1, [0, 1, 1, 1]),
        (2, 'sky', False, 3, [1, 0, 2, 2]),
    ]  # fmt: skip
