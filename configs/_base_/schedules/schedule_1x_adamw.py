_base_ = './schedule_1x.py'

# Swin's own recipe: decoupled decay, none on norms, positions and tokens, clipping by norm.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.0001, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys=dict(
            pos_embed=dict(decay_mult=0.0),  # of Swin and of timm
            cls_token=dict(decay_mult=0.0),
            reg_token=dict(decay_mult=0.0),
            relative_position_bias_table=dict(decay_mult=0.0),
        ),
    ),
    clip_grad=dict(max_norm=1.0, norm_type=2),
)
