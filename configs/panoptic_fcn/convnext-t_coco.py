_base_ = [
    '../_base_/models/panoptic_fcn_timm.py',
    '../_base_/datasets/coco_panoptic.py',
    '../_base_/schedules/schedule_1x_adamw.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(model_name='convnext_tiny.fb_in22k', drop_path_rate=0.4),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
