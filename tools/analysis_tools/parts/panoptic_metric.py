"""PanopticQualityMetric against mmdet's CocoPanopticMetric, on drawn segments.

    python tools/analysis_tools/benchmark_parts.py panoptic_metric --repeats 15

Both give the same figures, to 1e-9. Memory is a row of the part large_images.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mmcv.transforms import Compose
from mmdet.evaluation import CocoPanopticMetric
from mmengine.evaluator import BaseMetric

from mmpfcn.evaluation import PanopticQualityMetric

from . import medians
from .loading import NUM_STUFF, draw_record

NUM_THINGS = 10
NAMES = [f'class {label}' for label in range(NUM_THINGS + NUM_STUFF)]
META = dict(classes=NAMES, thing_classes=NAMES[:NUM_THINGS], stuff_classes=NAMES[NUM_THINGS:])
SCENES = ((480, 640, 11), (480, 640, 40), (1024, 2048, 60))
"""Height, width in pixels, number of segments."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def data_sample(record: dict) -> dict:
    """What a metric gets of an image, ground truth in memory; the prediction is shifted."""
    load = dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True)
    pipeline = Compose([load, dict(type='PackPanopticInputs')])
    # CocoPanopticMetric finds the PNG by the name of the image
    path = str(Path(record['seg_map_path']).with_suffix('.jpg'))
    sample = pipeline(dict(record, img_id=1, img_path=path))['data_samples'].to_dict()
    segments = sample['gt_panoptic_seg']['sem_seg']
    sample['pred_panoptic_seg'] = dict(sem_seg=segments.roll((5, 7), (1, 2)))
    return sample | {key: record[key] for key in ('seg_map_path', 'segments_info')}


def stock_metric(record: dict, folder: str) -> BaseMetric:
    height, width = record['ori_shape']
    more = dict(iscrowd=0, bbox=[0, 0, width, height])
    segments = [dict(s, category_id=s['category'], **more) for s in record['segments_info']]
    png = Path(record['seg_map_path']).name
    content = dict(
        images=[dict(id=1, file_name='image.jpg', height=height, width=width)],
        categories=[dict(id=i, name=x, isthing=int(i < NUM_THINGS)) for i, x in enumerate(NAMES)],
        annotations=[dict(image_id=1, file_name=png, segments_info=segments)],
    )
    path = Path(folder, 'panoptic.json')
    path.write_text(json.dumps(content))
    with redirect_stdout(None):
        return CocoPanopticMetric(ann_file=str(path), seg_prefix=folder)


def one_image(metric: BaseMetric, sample: dict) -> Callable[[], None]:
    prediction = sample['pred_panoptic_seg']['sem_seg']

    def process() -> None:  # CocoPanopticMetric changes the prediction
        metric.process({}, [dict(sample, pred_panoptic_seg=dict(sem_seg=prediction.clone()))])

    return process


def measure(args: argparse.Namespace) -> Iterator[dict[str, str]]:
    for height, width, count in SCENES:
        with TemporaryDirectory() as folder:
            record = draw_record(folder, (height, width), count, NUM_THINGS)
            sample = data_sample(record)
            from_file = {k: v for k, v in sample.items() if k != 'gt_panoptic_seg'}
            metrics = {
                'CocoPanopticMetric': (stock_metric(record, folder), sample),
                'PanopticQualityMetric': (PanopticQualityMetric(), sample),
                'and the PNG read': (PanopticQualityMetric(), from_file),
            }
            for metric, _ in metrics.values():
                metric.dataset_meta = META
            steps = {name: one_image(*given) for name, given in metrics.items()}
            times = medians(steps, args.repeats)
            expected, *results = (m.evaluate(args.repeats + 1) for m, _ in metrics.values())
        for result in results:
            theirs = [expected[key] for key in result]
            np.testing.assert_allclose([*result.values()], theirs, rtol=0, atol=1e-9)
        stock = times.pop('CocoPanopticMetric')
        yield {
            'image': f'{width} x {height}, {count} segments',
            'CocoPanopticMetric': f'{stock:.1f} ms',
            **{name: f'{ours:.1f} ms ({ours / stock:.2f})' for name, ours in times.items()},
        }
