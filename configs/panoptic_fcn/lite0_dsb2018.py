# The paper's model, to compare lite0_plus_dsb2018 with; thresholds of look-alikes.
_base_ = [
    '../_base_/models/panoptic_fcn_lite0.py',
    '../_base_/datasets/dsb2018_panoptic.py',
    '../_base_/schedules/schedule_finetune_longer.py',
    '../_base_/default_runtime.py',
]
scale_ranges = ((1, 64), (48, 128), (96, 256), (192, 512), (384, 2048))
model = dict(
    panoptic_head=dict(num_things_classes=1, num_stuff_classes=1),
    train_cfg=dict(assigner=dict(scale_ranges=scale_ranges), num_positives=3),
    test_cfg=dict(similarity_thr=0.995, panoptic_score_thr=0.1, max_per_img=4000),
)
many = dict(stuff_area_limit=0, instance_on=False, semantic_on=False)
model['test_cfg'].update(many)
