"""mmdet's own panoptic models in the place of ours: same backbone, data and schedule."""

from mmengine.config import Config
from mmengine.hub import get_config

from .candidates import PEERS, without_pretraining

WIDTHS = {256: 1, 1024: 4, 2048: 8, 128: 1 / 2}
"""The widths in mmdet's configs, in those of the pyramid."""

PARTS = ('neck', 'rpn_head', 'roi_head', 'semantic_head', 'panoptic_head')


def peer_config(cfg: Config, name: str) -> Config:
    """One of ``PEERS`` as wide as the neck of ``cfg``, on all of ``cfg`` but its model.

    A query for every object of ``test_cfg.max_per_img``, from 100 to 300; no instances beside the
    panoptic map. A transformer has the optimiser of its own config, a tenth of our rates.
    """
    ours, cfg = cfg.model, Config(cfg.to_dict())
    theirs = get_config(PEERS[name])
    model = theirs.model
    without_pretraining(model)
    for part in PARTS:
        if part in model:
            _fit(model[part], ours.neck.out_channels, ours.panoptic_head)
    _fit(model.panoptic_fusion_head, None, ours.panoptic_head)
    model.backbone = ours.backbone
    first = model.neck if 'neck' in model else model.panoptic_head
    first.in_channels = ours.neck.in_channels
    model.data_preprocessor.update(ours.data_preprocessor)
    model.data_preprocessor.batch_augments = None
    limit = ours.test_cfg.max_per_img
    if 'panoptic_head' in model:
        cfg.optim_wrapper = theirs.optim_wrapper
        model.panoptic_head.num_queries = min(max(limit, 100), 300)
        model.test_cfg.instance_on = False
    else:
        model.test_cfg.rcnn.max_per_img = limit
        model.test_cfg.rpn.max_per_img = model.test_cfg.rpn.nms_pre = max(limit, 1000)
        model.test_cfg.panoptic.stuff_area_limit = ours.test_cfg.stuff_area_limit
    cfg.model = model
    cfg.custom_hooks = [x for x in cfg.custom_hooks if x.type != 'TrainingStatisticsHook']
    metrics = ('PanopticQualityMetric', 'ObjectScoreMetric')
    cfg.val_evaluator = [metric for metric in cfg.val_evaluator if metric.type in metrics]
    return cfg


def _fit(config: object, width: int | None, head: dict) -> None:
    """Widths and class counts of a part, in place."""
    items = config.items() if isinstance(config, dict) else enumerate(config)
    things, stuff = head.num_things_classes, head.num_stuff_classes
    counts = dict(num_things_classes=things, num_stuff_classes=stuff, num_classes=things)
    for key, value in list(items):
        if key in counts:
            config[key] = counts[key]
        elif key == 'num_groups':
            config[key] = width // 4  # of half the width too
        elif key == 'class_weight':
            config[key] = [1.0] * (things + stuff) + [0.1]
        elif isinstance(value, (dict, list)):
            _fit(value, width, head)
        elif width is not None and isinstance(value, int) and value in WIDTHS:
            config[key] = int(width * WIDTHS[value])
