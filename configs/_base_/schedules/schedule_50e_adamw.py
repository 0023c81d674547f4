_base_ = './schedule_3x_adamw.py'

max_iters = 368750  # 50 epochs of COCO train2017, 16 images a step
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1001),
    dict(type='PolyLR', power=0.9, eta_min=0, by_epoch=False, begin=0, end=max_iters + 1),
]
# pretrained, so at a lower rate than what starts anew
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.25))))
