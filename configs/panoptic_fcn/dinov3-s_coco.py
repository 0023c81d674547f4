# A plain transformer with patches of 16 x 16; the backbone makes four strides of its one map.
_base_ = './convnext-t_coco.py'

model = dict(
    backbone=dict(model_name='vit_small_patch16_dinov3.lvd1689m', drop_path_rate=0.1),
    neck=dict(in_channels=[96, 192, 384, 384]),
)
