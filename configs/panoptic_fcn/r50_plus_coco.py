_base_ = [
    '../_base_/models/panoptic_fcn_plus_r50.py',
    '../_base_/datasets/coco_lsj_panoptic.py',
    '../_base_/schedules/schedule_50e_adamw.py',
    '../_base_/ema_runtime.py',
]
