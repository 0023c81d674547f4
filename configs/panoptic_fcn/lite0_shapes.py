# The paper's model and losses, to compare lite0_plus_shapes with.
_base_ = [
    '../_base_/models/panoptic_fcn_lite0_narrow.py',
    '../_base_/datasets/shapes_panoptic.py',
    '../_base_/schedules/schedule_finetune.py',
    '../_base_/default_runtime.py',
]
scale_ranges = ((1, 48), (32, 96), (64, 192), (128, 384), (256, 2048))  # images of 192 x 256
model = dict(
    panoptic_head=dict(num_things_classes=6, num_stuff_classes=4),
    train_cfg=dict(assigner=dict(scale_ranges=scale_ranges), num_positives=5),
    test_cfg=dict(stuff_area_limit=655),
)
