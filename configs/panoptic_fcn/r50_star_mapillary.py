_base_ = './r50_mapillary.py'

model = dict(
    panoptic_head=dict(
        feature_encoder=dict(out_channels=256, conv_cfg=dict(type='ModulatedDeformConv'))
    )
)
