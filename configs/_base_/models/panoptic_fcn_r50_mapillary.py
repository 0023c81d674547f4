_base_ = './panoptic_fcn_r50.py'

num_things_classes = 37
num_stuff_classes = 28

model = dict(
    panoptic_head=dict(num_things_classes=num_things_classes, num_stuff_classes=num_stuff_classes),
    train_cfg=dict(
        assigner=dict(scale_ranges=((1, 128), (64, 256), (128, 512), (256, 1024), (512, 4096))),
        num_positives=3,
    ),
    test_cfg=dict(
        center_thr=0.2,
        region_thr=0.1,
        similarity_thr=0.95,
        mask_thr_binary=0.5,
        max_per_img=200,
        instance_on=False,  # AP is not measured here, and 200 masks of 20 megapixels are 4 GB
    ),
)
