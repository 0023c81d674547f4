# Nuclei of the Data Science Bowl 2018: small, dense and alike, so images are enlarged.
dataset_type = 'PanopticDataset'
data_root = 'data/dsb2018/'

# dim or bright, an image's own dark and light become 0 and 255, as StarDist and Cellpose do it
load = dict(type='LoadImage', percentiles=(1, 99.8))
train_pipeline = [
    load,
    dict(type='LoadPanopticGroundTruth'),
    # what the crop will need is cut out first: of a large image that is little
    dict(
        type='RandomChoice',
        transforms=[
            [
                dict(type='RandomCrop', crop_size=(size, size), allow_negative_crop=True),
                dict(type='Resize', scale_factor=factor, keep_ratio=True),
            ]
            for factor in (0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0)
            for size in [int(256 / factor) + 2]
        ],
    ),
    dict(type='RandomCrop', crop_size=(256, 256), allow_negative_crop=True),
    dict(type='RandomFlip', prob=[0.25] * 3, direction=['horizontal', 'vertical', 'diagonal']),
    # nuclei are bright on dark, dark on bright, or stained: each image may be any of them
    dict(type='Invert', prob=0.25),
    dict(type='RandomGrayscale', prob=0.3, keep_channels=True),
    dict(type='Sharpness', prob=0.6, min_mag=0.0, max_mag=2.0),  # blurred or sharpened
    dict(
        type='PhotoMetricDistortion',
        brightness_delta=48,
        contrast_range=(0.4, 1.6),
        hue_delta=90,
    ),
    dict(type='PackPanopticInputs'),
]
test_pipeline = [
    load,
    dict(type='Resize', scale_factor=2.0, keep_ratio=True),
    dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True),
    dict(type='PackPanopticInputs'),
]


train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='ReplayableSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_files = dict(
    ann_file='annotations/panoptic_test.json',
    data_prefix=dict(img='test/', seg='annotations/panoptic_test/'),
)
test_dataloader = {**val_dataloader, 'dataset': {**val_dataloader['dataset'], **test_files}}

val_evaluator = [dict(type='PanopticQualityMetric', classwise=True), dict(type='ObjectScoreMetric')]
test_evaluator = val_evaluator
