_base_ = './panoptic_fcn_r50.py'

num_things_classes = 8
num_stuff_classes = 11

model = dict(
    panoptic_head=dict(
        num_things_classes=num_things_classes,
        num_stuff_classes=num_stuff_classes,
        separate_thing_regions=True,
        loss_thing=dict(loss_weight=4.0),
        loss_stuff=dict(loss_weight=4.0),
    ),
    train_cfg=dict(
        assigner=dict(scale_ranges=((1, 128), (64, 256), (128, 512), (256, 1024), (512, 2048)))
    ),
    test_cfg=dict(
        center_thr=0.01,
        region_thr=0.1,
        similarity_thr=0.97,
        mask_thr_binary=0.5,
        max_per_img=200,
        stuff_area_limit=2048,
        instance_on=False,  # AP is not measured here, and 200 masks of an image are 400 MiB
    ),
)
