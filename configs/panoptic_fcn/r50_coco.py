_base_ = [
    '../_base_/models/panoptic_fcn_r50.py',
    '../_base_/datasets/coco_panoptic.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/default_runtime.py',
]
