_base_ = [
    '../_base_/models/panoptic_fcn_swin-t.py',
    '../_base_/datasets/coco_panoptic.py',
    '../_base_/schedules/schedule_3x_adamw.py',
    '../_base_/default_runtime.py',
]
