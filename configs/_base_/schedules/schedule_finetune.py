# For small data and a backbone with ImageNet weights, which is trained at a third of the rate.
_base_ = './schedule_scratch.py'

optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))
