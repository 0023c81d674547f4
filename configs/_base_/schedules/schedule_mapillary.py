_base_ = './schedule_1x.py'

max_iters = 150000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1001),
    dict(type='PolyLR', power=0.9, eta_min=0, by_epoch=False, begin=0, end=max_iters + 1),
]
optim_wrapper = dict(optimizer=dict(lr=0.02), clip_grad=dict(clip_value=15.0))
auto_scale_lr = dict(base_batch_size=32)
