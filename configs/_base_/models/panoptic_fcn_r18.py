# A small network that learns from scratch on a CPU: half the backbone's channels and a
# quarter of the others, batch norm trained.
_base_ = './panoptic_fcn_r50.py'

model = dict(
    data_preprocessor=dict(std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        depth=18,
        base_channels=32,
        frozen_stages=-1,
        norm_cfg=dict(requires_grad=True),
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
    ),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    panoptic_head=dict(
        kernel_generator=dict(in_channels=64, feat_channels=64),
        feature_encoder=dict(in_channels=64, feat_channels=64),
    ),
)
