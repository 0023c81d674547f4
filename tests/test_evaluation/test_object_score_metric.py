"""The score of the Data Science Bowl 2018, against a count that knows nothing of PQ."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from helpers.forked import run_processes
from helpers.shell import free_port
from mmdet.registry import METRICS
from mmengine.dataset import DefaultSampler

from mmpfcn.formats import write_panoptic_png

META = dict(classes=('cell', 'dust', 'ground'), thing_classes=('cell', 'dust'))
THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def metric():
    result = METRICS.build(dict(type='ObjectScoreMetric'))
    result.dataset_meta = META
    return result


def sample(folder, gt: np.ndarray, labels: dict, pred: np.ndarray, crowds: tuple = ()) -> dict:
    """Ids (H, W) with the label of each, and a predicted map of ``label + 1000 * instance``."""
    path = folder / f'{len(list(folder.iterdir()))}.png'
    write_panoptic_png(path, gt)
    infos = [
        dict(id=i, category=c, is_thing=c < 2 and i not in crowds, iscrowd=i in crowds)
        for i, c in labels.items()
    ]
    found = dict(sem_seg=torch.tensor(pred)[None])
    where = dict(img_path='a.jpg', seg_map_path=str(path))
    return dict(where, segments_info=infos, pred_panoptic_seg=found)


def score_of_masks(gt: list[set], pred: list[set]) -> list[float]:
    """TP / (TP + FP + FN) at each threshold and PQ, from sets of pixels."""
    scores = []
    for threshold in THRESHOLDS:
        hits = [(g, p) for g in range(len(gt)) for p in range(len(pred))
                if len(gt[g] & pred[p]) > threshold * len(gt[g] | pred[p])]  # fmt: skip
        tp = len({g for g, _ in hits})
        scores.append(tp / (tp + len(pred) - len({p for _, p in hits}) + len(gt) - tp))
    ious = [len(g & p) / len(g | p) for g in gt for p in pred]
    return [*scores, sum(x for x in ious if x > 0.5) / ((len(gt) + len(pred)) / 2)]


def test_a_count_from_scratch(tmp_path):
    generator = np.random.default_rng(0)
    samples, by_class = [], ([], [])
    for _ in range(12):
        gt, pred = np.full((24, 32), 9), np.full((24, 32), 2)
        labels, truth, found = {9: 2}, ([], []), ([], [])
        for number in range(1, 7):
            label = int(generator.integers(2))
            y, x = 4 * ((number - 1) // 3) * 3, 10 * ((number - 1) % 3)
            if generator.random() < 0.8:
                gt[y : y + 8, x : x + 8], labels[number] = 20 + number, label
                labels[20 + number] = labels.pop(number)
                truth[label].append({(r, c) for r in range(y, y + 8) for c in range(x, x + 8)})
            if generator.random() < 0.8:
                dy, dx = generator.integers(0, 3, 2).tolist()
                pred[y + dy : y + 8, x + dx : x + 8] = label + 1000 * number
                pixels = range(y + dy, y + 8), range(x + dx, x + 8)
                found[label].append({(r, c) for r in pixels[0] for c in pixels[1]})
        for label in range(2):
            if truth[label] or found[label]:
                by_class[label].append(score_of_masks(truth[label], found[label]))
        samples.append(sample(tmp_path, gt, labels, pred))
    measured = metric()
    for part in samples:
        measured.process({}, [part])
    result = measured.evaluate(12)
    expected = np.mean([np.mean(scores, axis=0) for scores in by_class], axis=0)
    assert 0.2 < expected.mean() < 0.8
    assert result['objects/score'] == pytest.approx(expected[:10].mean(), abs=1e-12)
    assert result['objects/PQ'] == pytest.approx(expected[10], abs=1e-12)
    assert result['objects/AP50'] == pytest.approx(expected[0], abs=1e-12)
    assert result['objects/AP75'] == pytest.approx(expected[5], abs=1e-12)


def test_crowds_excuse_and_parts_of_processes_give_the_whole(tmp_path):
    gt = np.full((8, 8), 9)
    gt[:4, :4], gt[4:, :4] = 1, 2
    pred = np.full((8, 8), 2)
    pred[:4, :4], pred[4:, :4] = 1000, 2000
    nothing = sample(tmp_path, np.full((8, 8), 9), {9: 2}, np.full((8, 8), 2))
    for crowds, score in ((), 1.0), ((2,), 1.0):
        measured = metric()
        measured.process({}, [sample(tmp_path, gt, {1: 0, 2: 0, 9: 2}, pred, crowds), nothing])
        assert measured.evaluate(2)['objects/score'] == score
    measured = metric()
    measured.process({}, [nothing])
    assert np.isnan(measured.evaluate(1)['objects/score'])
    # What mmengine collects of the processes is a list with an entry of each image.
    gt = np.full((8, 8), 9)
    gt[:6, :6] = 1
    samples = []
    for side in (6, 5, 3):
        pred = np.full((8, 8), 2)
        pred[:side, :side] = 1000
        samples.append(sample(tmp_path, gt, {1: 0, 9: 2}, pred))
    whole, first, second = metric(), metric(), metric()
    whole.process({}, samples)
    first.process({}, samples[:2])
    second.process({}, samples[2:])
    expected = whole.compute_metrics(whole.results)
    assert whole.compute_metrics(first.results + second.results) == expected
    # IoU 1, 25 / 36 and 9 / 36: ten, four and no thresholds
    assert expected['score'] == pytest.approx(14 / 30)


def drawn(folder) -> list[dict]:
    """Five images with an object that is found ever worse."""
    folder.mkdir()
    samples = []
    for side in (8, 7, 6, 5, 4):
        gt, pred = np.full((8, 8), 9), np.full((8, 8), 2)
        gt[:8, :7], pred[:side, :side] = 1, 1000
        samples.append(sample(folder, gt, {1: 0, 9: 2}, pred))
    return samples


def evaluate_part(rank: int, port: str, folder: str) -> None:
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    samples, measured = drawn(Path(folder) / f'gt{rank}'), metric()
    for i in DefaultSampler(samples, shuffle=False):  # of five the first is seen twice
        measured.process({}, [samples[i]])
    Path(f'{folder}/{rank}.json').write_text(json.dumps(measured.evaluate(len(samples))))
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    run_processes(evaluate_part, free_port(), str(tmp_path), number=2)
    one = metric()
    one.process({}, samples := drawn(tmp_path / 'gt'))
    expected = one.evaluate(len(samples))
    assert 0.2 < expected['objects/score'] < 0.8
    for rank in range(2):
        assert json.loads((tmp_path / f'{rank}.json').read_text()) == pytest.approx(expected, abs=1e-12)
