default_scope = 'mmdet'
custom_imports = dict(
    imports=['mmpfcn', 'mmpfcn.apis.safe_loading'],  # checkpoints run no code
    allow_failed_imports=False,
)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='WholeCheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='PanopticVisualizationHook'),
)
custom_hooks = [
    dict(type='ClassCountHook'),
    dict(type='ExactResumeHook'),
    dict(type='FiniteHook'),
    dict(type='TrainingStatisticsHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
visualizer = dict(type='PanopticVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False
