_base_ = './schedule_finetune.py'

max_iters = 2400
train_cfg = dict(max_iters=max_iters, val_interval=1200)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=51),
    dict(type='PolyLR', power=0.9, eta_min=0, by_epoch=False, begin=0, end=max_iters + 1),
]
optim_wrapper = dict(optimizer=dict(lr=0.001))
auto_scale_lr = dict(base_batch_size=4)
