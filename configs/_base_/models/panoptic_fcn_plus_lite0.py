# A small network that learns quickly: plain and shorter heads, kernels that know their place, and
# objects told apart by their masks.
_base_ = './panoptic_fcn_lite0.py'

model = dict(
    panoptic_head=dict(
        kernel_generator=dict(type='RelativeKernelGenerator', num_convs=2, position_conv_cfg=None),
        feature_encoder=dict(type='RelativeFeatureEncoder', num_convs=2),
    ),
    test_cfg=dict(similarity_thr=-1.0, fusion_iou_thr=0.3),  # only the masks decide
)
