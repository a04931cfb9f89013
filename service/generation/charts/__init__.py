"""The parts of chart.py: what a column is for, which shape fits, and its Vega-Lite."""
