_base_ = [
    '../_base_/models/panoptic_fcn_r50_cityscapes.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/schedules/schedule_cityscapes.py',
    '../_base_/default_runtime.py',
]
