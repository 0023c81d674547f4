from .drawing import Segment, draw_panoptic, join_panels
from .labels import add_legend
from .panoptic_visualizer import PanopticVisualizer
