from .drawing import Segment, draw_panoptic, join_panels
from .panoptic_visualizer import PanopticVisualizer

__all__ = ['PanopticVisualizer', 'Segment', 'draw_panoptic', 'join_panels']
