# The paper's model and losses, to compare lite2_plus_coco200 with.
_base_ = [
    '../_base_/models/panoptic_fcn_lite0.py',
    '../_base_/datasets/coco200_panoptic.py',
    '../_base_/schedules/schedule_finetune_long.py',
    '../_base_/default_runtime.py',
]
weights = 'work_dirs/tf_efficientnet_lite2.pth'
model = dict(
    backbone=dict(model_name='tf_efficientnet_lite2', checkpoint=weights),
    neck=dict(in_channels=[24, 48, 120, 352]),
    test_cfg=dict(instance_on=False, semantic_on=False, panoptic_score_thr=0.07),
)
