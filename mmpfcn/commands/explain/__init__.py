"""The parts of explain.py."""
