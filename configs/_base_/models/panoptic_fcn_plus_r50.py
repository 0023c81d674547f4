# The paper's network with kernels that know their place, and objects told apart by their masks.
_base_ = './panoptic_fcn_r50.py'

model = dict(
    panoptic_head=dict(
        kernel_generator=dict(type='RelativeKernelGenerator'),
        feature_encoder=dict(type='RelativeFeatureEncoder'),
    ),
    test_cfg=dict(similarity_thr=-1.0, fusion_iou_thr=0.3),  # only the masks decide
)
