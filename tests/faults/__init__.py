"""A run survives anything: killed, starved, damaged or lied to, it loses nothing and goes on.

The table of all faults is in ../README.md.  The slow part is marked `faults`.
"""
