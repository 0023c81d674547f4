_base_ = './schedule_finetune_long.py'

max_iters = 3600
train_cfg = dict(max_iters=max_iters, val_interval=1800)
_base_.param_scheduler[1].end = max_iters + 1
