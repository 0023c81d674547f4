_base_ = [
    '../_base_/models/panoptic_fcn_plus_efficientnet-lite0.py',
    '../_base_/datasets/dsb2018_panoptic.py',
    '../_base_/schedules/schedule_finetune.py',
    '../_base_/default_runtime.py',
]
model = dict(
    panoptic_head=dict(num_things_classes=1, num_stuff_classes=1),
    train_cfg=dict(
        num_positives=3,
        assigner=dict(scale_ranges=((1, 64), (48, 128), (96, 256), (192, 512), (384, 2048))),
    ),
    # hundreds of objects an image, and only the panoptic map of them
    test_cfg=dict(max_per_img=1000, stuff_area_limit=0, instance_on=False, semantic_on=False),
)
max_iters = 1400
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=51),
    dict(type='PolyLR', power=0.9, eta_min=0, by_epoch=False, begin=0, end=max_iters + 1),
]
