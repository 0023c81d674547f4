_base_ = [
    '../_base_/models/panoptic_fcn_plus_lite0.py',
    '../_base_/datasets/facades_panoptic.py',
    '../_base_/schedules/schedule_finetune_long.py',
    '../_base_/default_runtime.py',
]
model = dict(
    panoptic_head=dict(num_things_classes=5, num_stuff_classes=5),
    test_cfg=dict(fusion_iou_thr=0.5, center_thr=0.2, instance_on=False, semantic_on=False),
)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=50, max_keep_ckpts=2))
