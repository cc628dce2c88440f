"""Run strategies that other people wrote, each in a confined process."""
