# torchvision's weights of today, V2, which want RGB images of its own mean and std.
_base_ = './r50_coco.py'

model = dict(
    data_preprocessor=dict(std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        style='pytorch', init_cfg=dict(checkpoint='torchvision://resnet50.imagenet1k_v2')
    ),
)
