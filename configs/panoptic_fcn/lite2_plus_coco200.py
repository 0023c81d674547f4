_base_ = [
    '../_base_/models/panoptic_fcn_plus_lite0.py',
    '../_base_/datasets/coco200_panoptic.py',
    '../_base_/schedules/schedule_finetune_long.py',
    '../_base_/default_runtime.py',
]
weights = 'work_dirs/tf_efficientnet_lite2.pth'
model = dict(
    backbone=dict(model_name='tf_efficientnet_lite2', checkpoint=weights),
    neck=dict(in_channels=[24, 48, 120, 352]),
    panoptic_head=dict(class_path=dict(type='ClassPath', in_channels=(120, 352))),
    test_cfg=dict(
        instance_on=False, semantic_on=False, fusion_iou_thr=0.5, panoptic_score_thr=0.07
    ),
)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=50, max_keep_ckpts=2))
