# The paper's neck and heads on a backbone of timm, whose ImageNet weights timm downloads.
_base_ = './panoptic_fcn_r50.py'

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(_delete_=True, type='TimmBackbone', model_name='resnet50', pretrained=True),
)
