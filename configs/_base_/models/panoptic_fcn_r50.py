num_things_classes = 80
num_stuff_classes = 53

model = dict(
    type='PanopticFCN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        # BGR images, yet the mean in RGB order: the published weights were trained so.
        mean=[123.675, 116.28, 103.53],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='caffe',
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet50_caffe'),
    ),
    neck=dict(
        type='FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        start_level=0,
        add_extra_convs='on_output',
        relu_before_extra_convs=True,
        num_outs=6,
        init_cfg=dict(type='Caffe2Xavier', layer='Conv2d'),
    ),
    panoptic_head=dict(
        type='PanopticFCNHead',
        num_things_classes=num_things_classes,
        num_stuff_classes=num_stuff_classes,
        kernel_generator=dict(type='KernelGenerator', in_channels=256, feat_channels=256),
        feature_encoder=dict(
            type='FeatureEncoder', in_channels=256, feat_channels=256, out_channels=64
        ),
        kernel_fusion=dict(type='KernelFusion'),
        loss_center=dict(type='FocalLoss', alpha=0.25, gamma=2.0, loss_weight=1.0),
        loss_region=dict(type='FocalLoss', alpha=0.25, gamma=2.0, loss_weight=1.0),
        loss_thing=dict(type='WeightedDiceLoss', loss_weight=3.0),
        loss_stuff=dict(type='WeightedDiceLoss', loss_weight=3.0),
    ),
    panoptic_fusion_head=dict(type='PanopticFCNFusionHead'),
    train_cfg=dict(
        assigner=dict(
            type='PanopticFCNAssigner',
            scale_ranges=((1, 64), (32, 128), (64, 256), (128, 512), (256, 2048)),
        ),
        num_positives=7,
    ),
    test_cfg=dict(
        center_thr=0.05,
        region_thr=0.05,
        pool_sizes=(3, 3, 3, 5, 5),
        similarity_thr=0.9,
        mask_thr_binary=0.4,
        score_thr=0.05,
        max_per_img=100,
        panoptic_score_thr=0.2,
        mask_overlap=0.5,
        stuff_area_limit=4096,
    ),
)
