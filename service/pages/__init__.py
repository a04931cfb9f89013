"""Reports as one self-contained HTML page each: frame, style, bars, a table that can be filtered.

texts.py     texts of unknown origin, fit to be shown
document.py  the page around a report, and the policy that lets nothing foreign run
bars.py      bar charts as inline SVG
filtered.py  a long table with a form that hides rows
"""
