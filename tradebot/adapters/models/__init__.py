"""Learned models: signed folders of data, and the confined process that runs them."""
