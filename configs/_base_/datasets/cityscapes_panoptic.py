# What tools/dataset_converters/cityscapes_panoptic.py makes of the raw folders.
dataset_type = 'PanopticDataset'
data_root = 'data/cityscapes/'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticGroundTruth'),
    # The paper gives the ends of the choice, 512 and 2048; the step is ours.
    dict(
        type='RandomChoiceResize',
        scales=[(2 * side, side) for side in range(512, 2049, 64)],
        resize_type='Resize',
        keep_ratio=True,
    ),
    dict(type='RandomCropWithInstance', crop_size=(1024, 512)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackPanopticInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ShortSideResize', scale=(2048, 1024), backend='pillow'),
    # after Resize: predictions are compared at the original size
    dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True),
    dict(type='PackPanopticInputs'),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='ReplayableSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='leftImg8bit/train/', seg='annotations/panoptic_train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='leftImg8bit/val/', seg='annotations/panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='PanopticQualityMetric', classwise=True),
    dict(type='RegionSemSegMetric', separate_things=True),
]
test_evaluator = val_evaluator
