_base_ = [
    '../_base_/models/panoptic_fcn_r18.py',
    '../_base_/datasets/shapes_panoptic.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/default_runtime.py',
]
model = dict(
    panoptic_head=dict(num_things_classes=6, num_stuff_classes=4),
    panoptic_fusion_head=dict(num_things_classes=6, num_stuff_classes=4),
    test_cfg=dict(stuff_area_limit=655),  # 4096 of 640 x 480, in 192 x 256
)
