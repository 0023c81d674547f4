_base_ = [
    '../_base_/models/panoptic_fcn_r50_mapillary.py',
    '../_base_/datasets/mapillary_panoptic.py',
    '../_base_/schedules/schedule_mapillary.py',
    '../_base_/default_runtime.py',
]
