max_iters = 90000

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# The published rate of iteration i is lr * (1 - i / max_iters)^0.9 * linear warm-up over 1000
# iterations. mmengine's schedulers reach their last value at `end - 1`, hence the + 1.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1001),
    dict(type='PolyLR', power=0.9, eta_min=0, by_epoch=False, begin=0, end=max_iters + 1),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(norm_decay_mult=0.0),
    # every element of a gradient is clamped, it is not the norm that is limited
    clip_grad=dict(type='value', clip_value=35.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
