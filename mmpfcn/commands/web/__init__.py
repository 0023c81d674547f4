"""The parts of tools/web_demo.py."""
