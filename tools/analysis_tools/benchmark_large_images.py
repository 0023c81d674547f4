"""Memory that one large image takes on its way from the file to PQ, each step in its own process.

    python tools/analysis_tools/benchmark_large_images.py --megapixels 20

The network itself is left out: it sees the image at the size of the config. Peaks are what a step
adds to a process that has imported everything. --things objects and 65 classes, as in Mapillary
Vistas.
"""

import argparse
import multiprocessing
import platform
import resource
import tempfile
from collections.abc import Callable
from functools import partial

import mmdet
import torch
from benchmark_loading import draw_record
from mmcv.transforms import Compose
from mmdet.registry import METRICS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmpfcn import PanopticFCNFusionHead

MAPILLARY = Config.fromfile('configs/_base_/models/panoptic_fcn_r50_mapillary.py')
NUM_THINGS, NUM_STUFF = MAPILLARY.num_things_classes, MAPILLARY.num_stuff_classes
NUM_CLASSES = NUM_THINGS + NUM_STUFF


def read(transform: str, record: dict) -> None:
    TRANSFORMS.build(dict(type=transform))(dict(record))


def merge(size: tuple[int, int], num_things: int, instance_on: bool) -> DetDataSample:
    """Post-processing of random masks of a network input of 2048 pixels."""
    settings = dict(MAPILLARY.model.test_cfg, instance_on=instance_on, score_thr=0.0)
    head = PanopticFCNFusionHead(NUM_THINGS, NUM_STUFF, settings)
    image = (2048 * size[0] // size[1], 2048)
    generator = torch.Generator().manual_seed(0)

    def kernels(labels: torch.Tensor) -> list[InstanceData]:
        coarse = torch.randn(len(labels), 1, 8, 8, generator=generator) * 4 - 2
        logits = torch.nn.functional.interpolate(coarse, [s // 4 for s in image])[:, 0]
        ones = torch.ones(len(labels))
        return [InstanceData(labels=labels, scores=ones, num_kernels=ones, mask_logits=logits)]

    things = torch.arange(num_things) % NUM_THINGS
    regions = torch.arange(NUM_THINGS, NUM_CLASSES + 1)
    sample = DetDataSample(metainfo=dict(img_shape=image, ori_shape=size))
    sample.pred_panoptic_seg = head.predict(kernels(things), kernels(regions), [sample])[0][
        'pan_results'
    ]
    return sample


def judged(record: dict, sample: DetDataSample) -> Callable[[], None]:
    """Step that adds an image to the metric, when prediction and ground truth are there."""
    metric = METRICS.build(dict(type='PanopticQualityMetric'))
    metric.dataset_meta = dict(
        classes=[str(i) for i in range(NUM_CLASSES)],
        thing_classes=[str(i) for i in range(NUM_THINGS)],
        stuff_classes=[str(i) for i in range(NUM_THINGS, NUM_CLASSES)],
    )
    pipeline = Compose(
        [
            dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True),
            dict(type='PackPanopticInputs'),
        ]
    )
    gt = pipeline(dict(record, img_id=0, img_path='drawn'))['data_samples']
    sample.gt_panoptic_seg = gt.gt_panoptic_seg
    sample.set_metainfo(dict(img_id=0, img_path='drawn'))
    return partial(metric.process, {}, [sample.to_dict()])


def peak_of(step: Callable[[], object]) -> float:
    """MiB by which a step raises the greatest memory of a process of its own."""
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        step()
        sender.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)

    process = context.Process(target=run)
    process.start()
    process.join()
    return receiver.recv()


def print_row(name: str, mebibytes: float, size: tuple[int, int]) -> None:
    per_pixel = mebibytes * 2**20 / (size[0] * size[1])
    print(f'| {name} | {mebibytes:.0f} MiB | {per_pixel:.0f} |', flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--megapixels', type=float, default=20)
    parser.add_argument('--things', type=int, default=200, help='objects in the image')
    args = parser.parse_args()
    init_default_scope('mmdet')
    torch.set_num_threads(1)
    height = int((args.megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (height, height * 4 // 3)
    print(f'{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, '
          f'mmdet {mmdet.__version__}; {size[1]} x {size[0]} pixels\n')  # fmt: skip
    print('| step | peak memory | bytes per pixel |\n|---|---|---|')
    with tempfile.TemporaryDirectory() as folder:
        record = draw_record(folder, size, args.things, num_things=NUM_THINGS)
        for name in ('LoadPanopticAnnotations', 'LoadPanopticGroundTruth'):
            print_row(name, peak_of(partial(read, name, record)), size)
        for instance_on in (True, False):
            step = partial(merge, size, args.things, instance_on)
            print_row(f'fusion head, instance_on={instance_on}', peak_of(step), size)
        step = judged(record, merge(size, args.things, instance_on=False))
        print_row('PQ of one image', peak_of(step), size)


if __name__ == '__main__':
    main()
