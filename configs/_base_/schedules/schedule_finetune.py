# For little data and a backbone with ImageNet weights, which is trained at a third of the rate.
_base_ = './schedule_scratch.py'

max_iters = 500
train_cfg = dict(max_iters=max_iters, val_interval=250)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=51),
    dict(type='PolyLR', power=0.9, eta_min=0, by_epoch=False, begin=0, end=max_iters + 1),
]
optim_wrapper = dict(
    optimizer=dict(lr=0.002), paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3)))
)
randomness = dict(seed=0)
