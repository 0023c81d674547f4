# A third less wide, for images of simple things.
_base_ = './panoptic_fcn_lite0.py'

width = 64
part = dict(in_channels=width, feat_channels=width, norm_cfg=dict(type='GN', num_groups=16))

model = dict(
    neck=dict(out_channels=width),
    panoptic_head=dict(kernel_generator=part, feature_encoder=dict(out_channels=32, **part)),
)
