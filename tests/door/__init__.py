"""Strategies that other people might write, as packages of their own, and what happens when they trade together."""
