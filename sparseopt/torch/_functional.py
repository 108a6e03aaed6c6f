"""Proximal operators that can be differentiated."""
