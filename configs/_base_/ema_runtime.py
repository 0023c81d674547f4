_base_ = './default_runtime.py'

# Measured, saved and published is the mean of the weights over about a tenth of the training:
# momentum = 10 / max_iters, here of 270k to 370k. (A decay of 0.99996 elsewhere is this one.)
default_hooks = dict(ema=dict(type='EMAHook', momentum=0.00004, update_buffers=True))
