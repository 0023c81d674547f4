_base_ = './swin-t_coco_3x.py'

model = dict(
    backbone=dict(
        embed_dims=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48),
        window_size=12, pretrain_img_size=384, drop_path_rate=0.3,
        init_cfg=dict(
            checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
            'swin_large_patch4_window12_384_22k.pth'
        ),
    ),
    neck=dict(in_channels=[192, 384, 768, 1536]),
)  # fmt: skip
