# The paper's model and losses, to compare lite0_plus_facades with.
_base_ = [
    '../_base_/models/panoptic_fcn_lite0.py',
    '../_base_/datasets/facades_panoptic.py',
    '../_base_/schedules/schedule_finetune_long.py',
    '../_base_/default_runtime.py',
]
model = dict(
    panoptic_head=dict(num_things_classes=5, num_stuff_classes=5),
    test_cfg=dict(instance_on=False, semantic_on=False),
)
