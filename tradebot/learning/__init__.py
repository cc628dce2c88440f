"""What learned policies are and how they decide: values in, values out. Models are run elsewhere."""
