_base_ = './convnext-t_coco.py'

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(model_name='tf_efficientnet_lite2', drop_path_rate=0.0),
    neck=dict(in_channels=[24, 48, 120, 352]),
)
