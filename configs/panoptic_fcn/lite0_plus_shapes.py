# What `make demo` trains: 600 iterations, about 5 minutes on 2 cores.
_base_ = [
    '../_base_/models/panoptic_fcn_plus_lite0.py',
    '../_base_/datasets/shapes_panoptic.py',
    '../_base_/schedules/schedule_finetune.py',
    '../_base_/default_runtime.py',
]
width = 64
part = dict(in_channels=width, feat_channels=width, norm_cfg=dict(type='GN', num_groups=16))
model = dict(
    neck=dict(out_channels=width),
    panoptic_head=dict(
        num_things_classes=6,
        num_stuff_classes=4,
        kernel_generator=part,
        feature_encoder=dict(out_channels=32, **part),
    ),
    train_cfg=dict(
        num_positives=5,
        assigner=dict(scale_ranges=((1, 48), (32, 96), (64, 192), (128, 384), (256, 2048))),
    ),
    test_cfg=dict(fusion_iou_thr=0.4, stuff_area_limit=655),  # 4096 of 640 x 480, in 192 x 256
)
max_iters = 600
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=51),
    dict(type='PolyLR', power=0.9, eta_min=0, by_epoch=False, begin=0, end=max_iters + 1),
]
optim_wrapper = dict(optimizer=dict(lr=0.002))
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=50, max_keep_ckpts=2),  # a stopped demo goes on within a minute's work
)
randomness = dict(seed=0)
