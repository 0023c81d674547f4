_base_ = [
    '../_base_/models/panoptic_fcn_plus_lite0.py',
    '../_base_/datasets/dsb2018_panoptic.py',
    '../_base_/schedules/schedule_finetune_longer.py',
    '../_base_/default_runtime.py',
]
scale_ranges = ((1, 64), (48, 128), (96, 256), (192, 512), (384, 2048))
model = dict(
    panoptic_head=dict(num_things_classes=1, num_stuff_classes=1),
    train_cfg=dict(assigner=dict(scale_ranges=scale_ranges), num_positives=3),
    # thousands of objects an image, and only the panoptic map of them
    test_cfg=dict(max_per_img=6000, stuff_area_limit=0, instance_on=False, semantic_on=False),
)
tuned = dict(fusion_iou_thr=0.7, center_thr=0.2, mask_thr_binary=0.55)  # by mmpfcn tune
model['test_cfg'].update(tuned)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=50, max_keep_ckpts=2))
