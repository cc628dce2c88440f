"""Store learned models as signed folders of data, and run them in a confined process."""
